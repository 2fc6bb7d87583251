#include "worker/issuers/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/check.h"

#define SERIAL "5018e3a6b0ff00112233445566778899aabbccdd"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define NOW "2024-03-09T16:00:00.123Z"
#define NOW_US 1710000000123000

static const struct journal_entry two[] = {{SERIAL, HASH, "job-1"},
    {SERIAL, HASH, "job-2"}};
#define LINE(job) NOW " " SERIAL " " HASH " " job " -\n"

static char dir[64], path[PATH_MAX];

static void
start(void)
{
	char host[HOST_NAME_MAX + 1] = "";

	clock_set_fake(0, NOW_US);
	(void)snprintf(dir, sizeof(dir), "/tmp/test-journal-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	CHECK(gethostname(host, sizeof(host)) == 0);
	(void)snprintf(path, sizeof(path), "%s/iss-local.%s.journal", dir,
	    host);
}

static void
stop(void)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	CHECK(d != NULL);
	while ((e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	(void)closedir(d);
	CHECK(rmdir(dir) == 0);
}

static char *
content(void)
{
	static char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	CHECK(n >= 0);
	text[n] = '\0';
	(void)close(fd);
	return text;
}

static void
put(const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	(void)close(fd);
}

static void
test_append(void)
{
	struct journal *j, *other;
	struct stat st;

	start();
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	CHECK_INT(journal_open(dir, "iss-local", &other), RC_OK);
	CHECK_INT(journal_append(j, 2, two), RC_OK);
	CHECK_INT(journal_append(other, 1, two), RC_OK);
	CHECK_INT(journal_append(j, 0, NULL), RC_OK);
	CHECK_INT(journal_append(j, 1, two + 1), RC_OK);
	CHECK_STR(content(),
	    LINE("job-1") LINE("job-2") LINE("job-1") LINE("job-2"));
	CHECK(stat(path, &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	journal_close(j);
	journal_close(other);
	journal_close(NULL);
	stop();
}

static void
test_partial_line(void)
{
	static const char *const cuts[] = {"2024-03-09T16:0",
	    NOW " " SERIAL " 0011", NOW " " SERIAL " " HASH " job-1",
	    NOW " " SERIAL " " HASH " job-17"};
	struct journal_line l;
	struct journal *j;

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		char *text, *line, *save = NULL;
		int whole = 0, cut = 0;

		start();
		put(LINE("job-0"));
		put(cuts[i]);
		CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
		CHECK_INT(journal_append(j, 2, two), RC_OK);
		/* Cut again while it is open, by another worker. */
		put(cuts[i]);
		CHECK_INT(journal_append(j, 1, two), RC_OK);
		journal_close(j);
		text = content();
		CHECK(strncmp(text, LINE("job-0"), strlen(LINE("job-0"))) == 0);
		for (line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (journal_read_line(line, strlen(line), &l) == RC_OK)
				whole++;
			else
				cut++;
		}
		CHECK_INT(whole, 4);
		CHECK_INT(cut, 2);
		stop();
	}
}

static void
test_removed(void)
{
	struct journal *j;

	start();
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	CHECK_INT(journal_append(j, 1, two), RC_OK);
	CHECK(unlink(path) == 0);
	CHECK_INT(journal_append(j, 1, two + 1), RC_OK);
	CHECK_STR(content(), LINE("job-2"));
	/* Nowhere to write: an error, and good again when there is. */
	CHECK(unlink(path) == 0);
	CHECK(rmdir(dir) == 0);
	CHECK_INT(journal_append(j, 1, two), RC_IO);
	CHECK_INT(journal_append(j, 1, two), RC_IO);
	CHECK(mkdir(dir, 0700) == 0);
	CHECK_INT(journal_append(j, 1, two), RC_OK);
	CHECK_STR(content(), LINE("job-1"));
	journal_close(j);
	stop();
}

/* The files of the directory, by name. */
static size_t
files(char names[8][NAME_MAX + 1])
{
	struct dirent **found;
	int n = scandir(dir, &found, NULL, alphasort);
	size_t kept = 0;

	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		if (found[i]->d_name[0] != '.' && kept < 8)
			(void)snprintf(names[kept++], NAME_MAX + 1, "%s",
			    found[i]->d_name);
		free(found[i]);
	}
	free(found);
	return kept;
}

/* A text's file beside the current one, last written to at that second. */
static void
put_beside(const char *tail, time_t at)
{
	struct timespec times[2] = {{.tv_sec = at}, {.tv_sec = at}};
	char beside[PATH_MAX];
	int fd;

	(void)snprintf(beside, sizeof(beside), "%.*s%s",
	    (int)(strlen(path) - strlen(".journal")), path, tail);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	CHECK(futimens(fd, times) == 0);
	(void)close(fd);
}

static void
test_put_aside(void)
{
	static const struct journal_limits small = {.bytes = 200};
	char names[8][NAME_MAX + 1];
	struct journal *j, *other;

	start();
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	CHECK_INT(journal_open(dir, "iss-local", &other), RC_OK);
	journal_limit(j, &small);
	CHECK_INT(journal_append(other, 1, two), RC_OK);
	CHECK_INT(journal_append(j, 1, two + 1), RC_OK);
	CHECK_INT(files(names), 1);
	CHECK_INT(journal_append(j, 1, two), RC_OK);
	CHECK_INT(files(names), 2);
	CHECK(strstr(names[0], ".20240309T160000.123000Z.journal") != NULL);
	CHECK_STR(content(), LINE("job-1"));
	/* Who had the former one open goes on with the new one. */
	CHECK_INT(journal_append(other, 1, two + 1), RC_OK);
	CHECK_STR(content(), LINE("job-1") LINE("job-2"));
	/* A name that is taken is never written over. */
	CHECK_INT(journal_append(j, 1, two), RC_OK);
	CHECK_INT(files(names), 2);
	CHECK_STR(content(), LINE("job-1") LINE("job-2") LINE("job-1"));
	(void)snprintf(path, sizeof(path), "%s/%s", dir, names[0]);
	CHECK_STR(content(), LINE("job-1") LINE("job-2"));
	journal_close(j);
	journal_close(other);
	stop();
}

static void
test_aside_by_age(void)
{
	static const struct journal_limits day = {.age_s = 86400};
	char names[8][NAME_MAX + 1];
	struct journal *j;

	start();
	put("2024-03-08T16:00:01.000Z " SERIAL " " HASH " job-0 -\n");
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	journal_limit(j, &day);
	CHECK_INT(journal_append(j, 1, two), RC_OK);
	CHECK_INT(files(names), 1);
	clock_set_fake(0, NOW_US + 1000000);
	CHECK_INT(journal_append(j, 1, two + 1), RC_OK);
	CHECK_INT(files(names), 2);
	CHECK(strstr(content(), "job-2") && !strstr(content(), "job-1"));
	journal_close(j);
	stop();
}

/* Old by its name and by its last write, of this CA, and put aside. */
static void
test_drop_old(void)
{
	static const struct journal_limits limits = {.bytes = 1,
	    .keep_s = 86400};
	const time_t now = NOW_US / 1000000, old = now - 86401;
	char names[8][NAME_MAX + 1];
	struct journal *j;

	start();
	put_beside(".20240308T155959.000000Z.journal", old);
	put_beside(".20240308T155958.000000Z.journal", now - 86399);
	put_beside(".20240308T160001.000000Z.journal", old);
	put_beside(".lost.20240101T000000.000000Z.journal", old);
	put_beside(".crl", old);
	put(LINE("job-0"));
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	journal_limit(j, &limits);
	CHECK_INT(journal_append(j, 1, two), RC_OK);
	CHECK_INT(files(names), 6);
	CHECK(strstr(names[0], ".20240308T155958.") != NULL);
	CHECK(strstr(names[1], ".20240308T160001.") != NULL);
	CHECK(strstr(names[2], ".20240309T160000.") != NULL);
	journal_close(j);
	stop();
}

/* A size limit stands for the full disk: it cuts the write the same way. */
static void
test_full_disk(void)
{
	struct rlimit old, small;
	struct journal_line l;
	struct journal *j;
	char *text;
	rc code, tried;
	int why;

	start();
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small = old;
	small.rlim_cur = strlen(LINE("job-1")) + 20;
	(void)signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	code = journal_append(j, 2, two);
	why = errno;
	tried = journal_try(dir, "iss-local");
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	CHECK_INT(code, RC_IO);
	CHECK_INT(why, ENOSPC);
	CHECK_INT(tried, RC_IO);
	CHECK_INT(journal_try(dir, "iss-local"), RC_OK);
	CHECK_INT(journal_append(j, 1, two + 1), RC_OK);
	text = content();
	CHECK(strncmp(text, LINE("job-1"), strlen(LINE("job-1"))) == 0);
	text += strlen(LINE("job-1"));
	CHECK_STR(strchr(text, '\n') - 15, " torn torn torn\n" LINE("job-2"));
	CHECK_INT(journal_read_line(text, (size_t)(strchr(text, '\n') - text),
		      &l),
	    RC_INVALID);
	journal_close(j);
	stop();
}

static void
test_bad_entries(void)
{
	static const struct journal_entry bad[] = {
	    {"12", HASH, "job-1"},
	    {"5018E3a6b0ff00112233445566778899aabbccdd", HASH, "job-1"},
	    {SERIAL "0", HASH, "job-1"},
	    {SERIAL, SERIAL, "job-1"},
	    {SERIAL, HASH, ""},
	    {SERIAL, HASH, "job 1"},
	    {SERIAL, HASH, "job\n1"},
	};
	static const char *const ids[] = {"", ".", "..", "a/b", "a b",
	    ".hidden", "\xc3\xa9"};
	struct journal_entry pair[2] = {two[0]};
	struct journal *j, *none = NULL, *nowhere;

	start();
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pair[1] = bad[i];
		CHECK_INT(journal_append(j, 2, pair), RC_INVALID);
	}
	CHECK_INT(journal_append(j, JOURNAL_BATCH_MAX + 1, two), RC_INVALID);
	CHECK_STR(content(), "");
	journal_close(j);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		CHECK_INT(journal_open(dir, ids[i], &none), RC_INVALID);
	/* It is the first append that needs the directory. */
	CHECK_INT(journal_open("/nonexistent", "iss-local", &nowhere), RC_OK);
	CHECK_INT(journal_append(nowhere, 1, two), RC_IO);
	CHECK_INT(errno, ENOENT);
	journal_close(nowhere);
	CHECK(none == NULL);
	stop();
}

static void
test_read_line(void)
{
	static const char good[] = NOW " " SERIAL " " HASH " job-1";
	static const char whole[] = NOW " " SERIAL " " HASH " job-1 mc-1";
	struct journal_line l;

	CHECK_INT(journal_read_line(good, strlen(good), &l), RC_OK);
	CHECK_STR(l.time, NOW);
	CHECK_STR(l.serial_hex, SERIAL);
	CHECK_STR(l.tbs_sha256_hex, HASH);
	CHECK_STR(l.job_id, "job-1");
	CHECK_STR(l.certificate_id, "");
	CHECK_INT(journal_read_line(whole, strlen(whole), &l), RC_OK);
	CHECK_STR(l.job_id, "job-1");
	CHECK_STR(l.certificate_id, "mc-1");
	/* Wherever a line was cut, what closes it makes it no line. */
	for (size_t n = 0; n < strlen(whole); n++) {
		char cut[256];
		int len = snprintf(cut, sizeof(cut), "%.*s torn torn torn",
		    (int)n, whole);

		CHECK_INT(journal_read_line(cut, (size_t)len, &l), RC_INVALID);
	}
	for (size_t n = 0; n < strlen(good) - 4; n++)
		CHECK_INT(journal_read_line(good, n, &l), RC_INVALID);
	CHECK_INT(journal_read_line(NOW " " SERIAL " " HASH " job-1 ",
		      strlen(good) + 1, &l),
	    RC_INVALID);
}

static void
test_leaves(void)
{
	static const uint8_t der[1000] = {0x30};
	const struct journal_leaf leaf = {{SERIAL, HASH, "job-1", "mc-1"},
	    "agent-1", HASH, der, sizeof(der), "{\"name\":\"demo\"}"};
	struct journal_leaf bad = leaf;
	struct journal_line l;
	struct journal *j;
	char *text;
	size_t len;

	start();
	CHECK_INT(journal_open(dir, "iss-local", &j), RC_OK);
	CHECK_INT(journal_append_leaves(j, 0, NULL), RC_OK);
	CHECK_INT(journal_append_leaves(j, 1, &leaf), RC_OK);
	bad.ca_sha256_hex = "12";
	CHECK_INT(journal_append_leaves(j, 1, &bad), RC_INVALID);
	put("half a line");
	CHECK_INT(journal_append_leaves(j, 1, &leaf), RC_OK);
	journal_close(j);
	text = content();
	len = strcspn(text, "\n");
	CHECK_INT(journal_read_line(text, len, &l), RC_OK);
	CHECK_STR(l.serial_hex, SERIAL);
	CHECK_STR(l.certificate_id, "mc-1");
	CHECK_STR(l.agent_id, "agent-1");
	CHECK_STR(l.ca_sha256_hex, HASH);
	CHECK_INT(l.leaf_len, 1336);
	CHECK(strncmp(l.leaf, "MAAA", 4) == 0);
	CHECK(strncmp(l.row, "eyJuYW1lIjoiZGVtbyJ9", l.row_len) == 0);
	/* Cut anywhere it is no such line, or the first kind of it. */
	for (size_t n = 0; n < len; n++) {
		if (journal_read_line(text, n, &l) == RC_OK)
			CHECK(!l.leaf || l.row_len % 4 == 0);
	}
	CHECK_INT(journal_read_line(text, 250, &l), RC_INVALID);
	text += len + 1;
	CHECK(strncmp(text, "half a line torn torn torn\n", 27) == 0);
	text += 27;
	CHECK_INT(journal_read_line(text, strcspn(text, "\n"), &l), RC_OK);
	CHECK_INT(l.leaf_len, 1336);
	stop();
}

CHECK_MAIN(CHECK_ROW(test_append), CHECK_ROW(test_partial_line),
    CHECK_ROW(test_removed), CHECK_ROW(test_put_aside),
    CHECK_ROW(test_aside_by_age), CHECK_ROW(test_drop_old),
    CHECK_ROW(test_full_disk), CHECK_ROW(test_bad_entries),
    CHECK_ROW(test_read_line), CHECK_ROW(test_leaves))
