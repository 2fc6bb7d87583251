#include "worker/issuers/journal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "worker/issuers/journal_file.h"

#define ISSUER_ID_MAX 128
#define TRY_BYTES (64 * 1024)
#define ASIDE_RETRY_MS 60000
#define TORN " torn torn torn\n"
#define BASE64_PART ((size_t)768) /* encoded at once; whole threes */

struct journal {
	char *dir;
	char *path;
	int fd;
	struct buf text; /* kept for its memory */
	struct journal_limits limits;
	int64_t retry_ms; /* when it may be put aside again; 0: at once */
};

static bool
is_file_name(const char *s)
{
	size_t len = strnlen(s, ISSUER_ID_MAX + 1);

	if (len < 1 || len > ISSUER_ID_MAX || s[0] == '.')
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	}
	return true;
}

/* The host's name with anything that is no part of a file name as '_'. */
static void
read_host(char *out, size_t len)
{
	if (gethostname(out, len) != 0)
		(void)snprintf(out, len, "localhost");
	out[len - 1] = '\0';
	for (char *p = out; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			*p = '_';
	}
}

static void
close_keeping_errno(int fd)
{
	int kept = errno;

	(void)close(fd);
	errno = kept;
}

/* The name of a new file must survive a power cut as well as its lines. */
static rc
open_file(struct journal *j)
{
	rc ret;

	j->fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return RC_IO;
	ret = journal_sync_dir(j->dir);
	if (ret != RC_OK) {
		close_keeping_errno(j->fd); /* nothing was written */
		j->fd = -1;
	}
	return ret;
}

rc
journal_open(const char *dir, const char *issuer_id, struct journal **out)
{
	char host[HOST_NAME_MAX + 1], path[PATH_MAX];
	struct journal *j;
	int n;

	if (!is_file_name(issuer_id))
		return RC_INVALID;
	read_host(host, sizeof(host));
	n = snprintf(path, sizeof(path), "%s/%s.%s" JOURNAL_SUFFIX, dir,
	    issuer_id, host);
	if (n < 0 || (size_t)n >= sizeof(path))
		return RC_INVALID;
	j = mem_zalloc(sizeof(*j));
	j->fd = -1;
	j->dir = mem_strdup(dir);
	j->path = mem_strdup(path);
	buf_init(&j->text, 0);

	*out = j;
	return RC_OK;
}

void
journal_limit(struct journal *j, const struct journal_limits *limits)
{
	j->limits = *limits;
}

void
journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		(void)close(j->fd); /* every append was synced */
	buf_fini(&j->text);
	mem_freep(&j->path);
	mem_freep(&j->dir);
	free(j);
}

static const char *
id_or_none(const char *s)
{
	return s && journal_is_job_id(s, strnlen(s, JOURNAL_JOB_ID_MAX + 1))
		   ? s
		   : NO_ID;
}

static rc
format_entry(struct buf *text, const char *now, const struct journal_entry *e)
{
	size_t id_len = strnlen(e->job_id, JOURNAL_JOB_ID_MAX + 1);
	const char *const fields[] = {now, e->serial_hex, e->tbs_sha256_hex,
	    e->job_id};

	if (!journal_is_hex_of(e->serial_hex, SERIAL_DIGITS) ||
	    !journal_is_hex_of(e->tbs_sha256_hex, SHA256_DIGITS) ||
	    !journal_is_job_id(e->job_id, id_len))
		return RC_INVALID;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		buf_puts(text, fields[i]);
		buf_putc(text, ' ');
	}
	buf_puts(text, id_or_none(e->certificate_id));
	return RC_OK;
}

static rc
format(struct journal *j, size_t n, const struct journal_entry *entries)
{
	char now[32];
	rc ret;

	clock_format_rfc3339(clock_wall_us(), now);
	for (size_t i = 0; i < n; i++) {
		ret = format_entry(&j->text, now, &entries[i]);
		if (ret != RC_OK)
			return ret;
		buf_putc(&j->text, '\n');
	}
	return buf_ok(&j->text) ? RC_OK : RC_TOO_LARGE;
}

static void
put_base64(struct buf *text, const void *in, size_t len)
{
	const uint8_t *p = in, *stop = p + len;
	char part[BASE64_PART / 3 * 4];
	size_t n;

	buf_putc(text, ' ');
	for (; p < stop; p += n) {
		n = (size_t)(stop - p);
		if (n > BASE64_PART)
			n = BASE64_PART;
		buf_add(text, part,
		    (size_t)(enc_base64_put(part, p, n) - part));
	}
}

static rc
format_leaves(struct journal *j, size_t n, const struct journal_leaf *leaves)
{
	char now[32];
	rc ret;

	clock_format_rfc3339(clock_wall_us(), now);
	for (size_t i = 0; i < n; i++) {
		const struct journal_leaf *l = &leaves[i];

		ret = format_entry(&j->text, now, &l->entry);
		if (ret != RC_OK ||
		    !journal_is_hex_of(l->ca_sha256_hex, SHA256_DIGITS))
			return RC_INVALID;
		buf_putc(&j->text, ' ');
		buf_puts(&j->text, id_or_none(l->agent_id));
		buf_putc(&j->text, ' ');
		buf_puts(&j->text, l->ca_sha256_hex);
		put_base64(&j->text, l->der, l->der_len);
		put_base64(&j->text, l->row, strlen(l->row));
		buf_putc(&j->text, '\n');
	}
	return buf_ok(&j->text) ? RC_OK : RC_TOO_LARGE;
}

/*
 * Looks at the file before each batch, not only at start: another worker may
 * have died in between.  Without a lock on purpose, since a stopped process
 * would keep it and stop the CA's other workers.
 */
static rc
look_at_end(struct journal *j, bool *out_torn)
{
	struct stat st;
	char last = '\n';

	if (fstat(j->fd, &st) != 0)
		return RC_IO;
	if (st.st_size > 0 && pread(j->fd, &last, 1, st.st_size - 1) != 1)
		return RC_IO;
	*out_torn = last != '\n';
	return RC_OK;
}

static rc
write_once(struct journal *j)
{
	ssize_t n;

	do
		n = write(j->fd, j->text.data, j->text.len);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (size_t)n != j->text.len)
		errno = ENOSPC; /* a part: the next writer closes the line */
	return n < 0 || (size_t)n != j->text.len ? RC_IO : RC_OK;
}

static rc
open_again(struct journal *j)
{
	if (j->fd >= 0) {
		/* What was appended without a sync, to a file put aside. */
		(void)fdatasync(j->fd);
		(void)close(j->fd);
	}
	return open_file(j);
}

/* Somebody may have removed the file, or another worker put it aside. */
static bool
is_at_path(const struct journal *j)
{
	struct stat mine, there;

	return j->fd >= 0 && fstat(j->fd, &mine) == 0 &&
	       stat(j->path, &there) == 0 && mine.st_ino == there.st_ino &&
	       mine.st_dev == there.st_dev;
}

/* A file that can't be put aside is appended to as before. */
static void
rotate(struct journal *j)
{
	rc ret;

	if (clock_boot_ms() < j->retry_ms ||
	    !journal_is_full(j->fd, &j->limits))
		return;
	errno = 0;
	ret = journal_put_aside(j->dir, j->path, j->fd);
	if (ret == RC_OK || errno == ENOENT)
		return; /* by us, or by another worker just now */
	j->retry_ms = clock_boot_ms() + ASIDE_RETRY_MS;
	log_warn("JOURNAL-ASIDE",
	    "%s is full and can't be put aside: %s; it grows on, and that is "
	    "tried again in %d s",
	    j->path, strerror(errno), ASIDE_RETRY_MS / 1000);
}

static rc
open_current(struct journal *j)
{
	rc ret = is_at_path(j) ? RC_OK : open_again(j);

	if (ret != RC_OK)
		return ret;
	rotate(j);
	if (is_at_path(j))
		return RC_OK;
	ret = open_again(j);
	if (ret == RC_OK && j->limits.keep_s > 0)
		journal_drop_old(j->dir, j->path, j->limits.keep_s);
	return ret;
}

/* The file is there, and the text begins with what closes a torn line. */
static rc
begin(struct journal *j)
{
	bool torn = false;
	rc ret = open_current(j);

	if (ret != RC_OK)
		return ret;
	ret = look_at_end(j, &torn);
	if (ret != RC_OK)
		return ret;
	buf_reset(&j->text);
	if (torn)
		buf_puts(&j->text, TORN);
	return RC_OK;
}

static rc
append_once(struct journal *j, size_t n, const struct journal_entry *entries)
{
	rc ret = begin(j);

	if (ret == RC_OK)
		ret = format(j, n, entries);
	if (ret == RC_OK)
		ret = write_once(j);
	if (ret == RC_OK && fdatasync(j->fd) != 0)
		ret = RC_IO;
	return ret;
}

/* It has a name: this one, or that of a file put aside. */
static bool
is_linked(const struct journal *j)
{
	struct stat st;

	return fstat(j->fd, &st) == 0 && st.st_nlink > 0;
}

rc
journal_append(struct journal *j, size_t n, const struct journal_entry *entries)
{
	rc ret;

	if (n == 0)
		return RC_OK;
	if (n > JOURNAL_BATCH_MAX)
		return RC_INVALID;
	ret = append_once(j, n, entries);
	/* Removed under our hands. */
	if (ret == RC_OK && !is_linked(j))
		ret = append_once(j, n, entries);
	if (ret == RC_OK && !is_linked(j)) {
		errno = ENOENT;
		ret = RC_IO;
	}
	return ret;
}

rc
journal_append_leaves(struct journal *j, size_t n,
    const struct journal_leaf *leaves)
{
	rc ret;

	if (n == 0)
		return RC_OK;
	if (n > JOURNAL_BATCH_MAX)
		return RC_INVALID;
	ret = begin(j);
	if (ret == RC_OK)
		ret = format_leaves(j, n, leaves);
	if (ret == RC_OK)
		ret = write_once(j);
	return ret;
}

/* A file beside the journal, since a try must leave no trace in it. */
static rc
try_room(const struct journal *j)
{
	static const char zeros[TRY_BYTES];
	char path[PATH_MAX + 32];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "%s.%ld.try", j->path,
	    (long)getpid());
	(void)unlink(path); /* of a process of that number that was killed */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		(void)unlink(path); /* it is gone with its descriptor */
		n = write(fd, zeros, sizeof(zeros));
		if (n >= 0 && n != (ssize_t)sizeof(zeros))
			errno = ENOSPC;
		if (n == (ssize_t)sizeof(zeros) && fdatasync(fd) != 0)
			n = -1;
		close_keeping_errno(fd);
	}
	return n == (ssize_t)sizeof(zeros) ? RC_OK : RC_IO;
}

rc
journal_try(const char *dir, const char *issuer_id)
{
	struct journal *j;
	int kept;
	rc ret;

	ret = journal_open(dir, issuer_id, &j);
	if (ret != RC_OK)
		return ret;
	ret = open_file(j);
	if (ret == RC_OK)
		ret = try_room(j);
	kept = errno;
	journal_close(j);
	errno = kept;
	return ret;
}

static rc
write_new(const char *path, const uint8_t *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n = 0;
	bool failed;

	if (fd < 0)
		return RC_IO;
	while (len > 0 && n >= 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	failed = n < 0 || fsync(fd) != 0;
	if (close(fd) != 0 || failed)
		return RC_IO;
	return RC_OK;
}

rc
journal_keep_list(struct journal *j, const uint8_t *der, size_t len)
{
	size_t stem = strlen(j->path) - strlen(JOURNAL_SUFFIX);
	char path[PATH_MAX], part[PATH_MAX];
	rc ret;

	/* A name of the process's own: workers of a host do it side by side,
	 * and whichever comes last, the database has given its number. */
	(void)snprintf(path, sizeof(path), "%.*s.crl", (int)stem, j->path);
	(void)snprintf(part, sizeof(part), "%.*s.%d.part", (int)stem, j->path,
	    (int)getpid());
	ret = write_new(part, der, len);
	if (ret == RC_OK && rename(part, path) != 0)
		ret = RC_IO;
	if (ret != RC_OK) {
		(void)unlink(part); /* it is of no use */
		return ret;
	}
	return journal_sync_dir(j->dir);
}
