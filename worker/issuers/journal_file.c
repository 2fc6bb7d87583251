#include "worker/issuers/journal_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/text.h"
#include "common/log/log.h"

#define US_PER_S 1000000
/* "20261128T120000.000000Z", between two dots in the name of a file put aside
 */
#define ASIDE_FORMAT "%04d%02d%02dT%02d%02d%02d.%06dZ"
#define ASIDE_LEN 23
#define TIME_LEN 19 /* "2026-11-28T12:00:00", how a line begins */

rc
journal_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed, kept;

	if (fd < 0)
		return RC_IO;
	failed = fsync(fd);
	kept = errno;
	(void)close(fd); /* nothing was written through it */
	errno = kept;
	return failed ? RC_IO : RC_OK;
}

/* --- when --- */

/* Seconds; -1 for what is no time. */
static int64_t
read_time(const char *text, const char *format)
{
	struct tm tm = {0};

	return strptime(text, format, &tm) ? (int64_t)timegm(&tm) : -1;
}

static int64_t
now_s(void)
{
	return clock_wall_us() / US_PER_S;
}

bool
journal_is_full(int fd, const struct journal_limits *limits)
{
	char first[TIME_LEN + 1] = "";
	struct stat st;
	int64_t at;

	if (fstat(fd, &st) != 0 || st.st_size == 0)
		return false;
	if (limits->bytes > 0 && st.st_size >= limits->bytes)
		return true;
	if (limits->age_s <= 0 || pread(fd, first, TIME_LEN, 0) != TIME_LEN)
		return false;
	at = read_time(first, "%Y-%m-%dT%H:%M:%S");
	/* Where the first line was torn its last change has to do. */
	if (at < 0)
		at = (int64_t)st.st_mtime;
	return at + limits->age_s <= now_s();
}

/* --- putting aside --- */

static void
aside_name(const char *path, char *out, size_t size)
{
	size_t stem = strlen(path) - strlen(JOURNAL_SUFFIX);
	int64_t us = clock_wall_us();
	time_t sec = (time_t)(us / US_PER_S);
	struct tm tm = {0};

	(void)gmtime_r(&sec, &tm);
	(void)snprintf(out, size, "%.*s." ASIDE_FORMAT JOURNAL_SUFFIX,
	    (int)stem, path, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
	    tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us % US_PER_S));
}

rc
journal_put_aside(const char *dir, const char *path, int fd)
{
	char aside[PATH_MAX + 64];
	rc ret;

	aside_name(path, aside, sizeof(aside));
	/* The certificates' lines of the last batch were not synced yet, and
	 * the next batch's sync is of another file. */
	if (fdatasync(fd) != 0)
		return RC_IO;
	fault_point("worker.journal.synced");
	/* A name that is taken keeps its file: it is tried again later. */
	if (renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE) != 0)
		return RC_IO;
	fault_point("worker.journal.renamed");
	ret = journal_sync_dir(dir);
	if (ret == RC_OK)
		log_info("JOURNAL-ASIDE", "%s is full; it is kept as %s", path,
		    aside);
	return ret;
}

/* --- removing --- */

/* "20261128T120000.000000Z", followed by a dot. */
static bool
is_aside_part(const char *p)
{
	static const char shape[ASIDE_LEN + 2] = "ddddddddTdddddd.ddddddZ.";

	for (size_t i = 0; i <= ASIDE_LEN; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)p[i])
				    : p[i] != shape[i])
			return false;
	return true;
}

size_t
journal_stem_len(const char *name)
{
	size_t len = strlen(name), tail = strlen(JOURNAL_SUFFIX);

	if (!text_ends_with(name, JOURNAL_SUFFIX))
		return len;
	len -= tail;
	if (len > ASIDE_LEN && name[len - ASIDE_LEN - 1] == '.' &&
	    is_aside_part(name + len - ASIDE_LEN))
		len -= ASIDE_LEN + 1;
	return len;
}

/* The seconds of a name that aside_name made of that stem; -1 for others. */
static int64_t
aside_time(const char *name, const char *stem, size_t stem_len)
{
	if (strncmp(name, stem, stem_len) != 0 ||
	    journal_stem_len(name) != stem_len ||
	    strlen(name) == stem_len + strlen(JOURNAL_SUFFIX))
		return -1;
	return read_time(name + stem_len + 1, "%Y%m%dT%H%M%S");
}

/* Who has it open and stood still since may append once more, but looks
 * afterwards whether it was still there (journal_append). */
static void
drop(int dir_fd, const char *name, int64_t until)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    (int64_t)st.st_mtime >= until)
		return;
	if (unlinkat(dir_fd, name, 0) != 0)
		log_warn("JOURNAL-DROP", "%s: %s", name, strerror(errno));
	else
		log_info("JOURNAL-DROP",
		    "%s was kept as long as CERTCTL_ISSUANCE_JOURNAL_KEEP says",
		    name);
}

void
journal_drop_old(const char *dir, const char *path, int64_t keep_s)
{
	const char *stem = strrchr(path, '/') + 1;
	size_t stem_len = strlen(stem) - strlen(JOURNAL_SUFFIX);
	int64_t until = now_s() - keep_s;
	DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return; /* the next append says so, if it is gone */
	while ((e = readdir(d))) {
		int64_t at = aside_time(e->d_name, stem, stem_len);

		if (at >= 0 && at < until)
			drop(dirfd(d), e->d_name, until);
	}
	(void)closedir(d);
}
