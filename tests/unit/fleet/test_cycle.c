#include "deploy/test/loadtest/fleet/cycle.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char path[] = "/tmp/test_cycle.XXXXXX";

static rc
read_text(struct cycles *c, const char *text, const char **why)
{
	char name[sizeof(path)];
	ssize_t written;
	rc ret;
	int fd;

	memcpy(name, path, sizeof(path));
	fd = mkstemp(name);
	CHECK(fd >= 0);
	written = write(fd, text, strlen(text));
	CHECK_INT(written, strlen(text));
	close(fd);
	ret = cycles_read(c, name, why);
	unlink(name);
	return ret;
}

static void
test_lists_that_are_refused(void)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"", "it is empty"},
	    {"a\na\n", "an id stands there twice"},
	    {"a\n\nb\n", "a line is no id (A-Z a-z 0-9 . _ -, 128 at most)"},
	    {"a b\n", "a line is no id (A-Z a-z 0-9 . _ -, 128 at most)"},
	    {"a/../b\n", "a line is no id (A-Z a-z 0-9 . _ -, 128 at most)"},
	};
	const char *why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cycles *c = cycles_new();

		CHECK_INT(read_text(c, bad[i].text, &why), RC_INVALID);
		CHECK_STR(why, bad[i].why);
		cycles_free(c);
	}
	{
		struct cycles *c = cycles_new();
		char line[200];

		memset(line, 'x', 129);
		line[129] = '\n';
		line[130] = '\0';
		CHECK_INT(read_text(c, line, &why), RC_INVALID);
		CHECK_INT(cycles_read(c, "/nowhere/at/all", &why), RC_IO);
		cycles_free(c);
	}
}

static void
test_the_first_time_of_each_point(void)
{
	struct cycles *c = cycles_new();
	struct samples s = {.us = NULL};
	const char *why;

	CHECK_INT(read_text(c, "mc-1\nmc-2\nmc-3", &why), RC_OK);
	CHECK_INT(cycles_count(c), 3);
	CHECK_STR(cycles_id(c, 2), "mc-3");
	cycles_reach(c, "mc-2", NULL, CYCLE_DUE, 50);
	cycles_all_due(c, 100);
	cycles_reach(c, "mc-1", "job-1", CYCLE_OFFERED, 300);
	cycles_reach(c, "mc-1", "job-1", CYCLE_OFFERED, 900);
	cycles_reach(c, "mc-2", "job-2", CYCLE_OFFERED, 350);
	CHECK_INT(cycles_reached(c, CYCLE_DUE), 3);
	CHECK_INT(cycles_reached(c, CYCLE_OFFERED), 2);
	CHECK_INT(cycles_again(c), 0);
	cycles_measure(c, CYCLE_DUE, CYCLE_OFFERED, &s);
	CHECK_INT(s.n, 2);
	CHECK_INT(s.us[0], 200);
	CHECK_INT(s.us[1], 300);
	samples_fini(&s);
	cycles_free(c);
}

/* A second job is told, once, and so is work that was not expected. */
static void
test_what_is_too_much(void)
{
	struct cycles *c = cycles_new();
	const char *why;

	CHECK_INT(read_text(c, "mc-1\n", &why), RC_OK);
	cycles_reach(c, "mc-1", "job-1", CYCLE_OFFERED, 1);
	cycles_reach(c, "mc-1", "job-9", CYCLE_OFFERED, 2);
	cycles_reach(c, "mc-1", "job-8", CYCLE_OFFERED, 3);
	/* Its deployment is another job, as ever. */
	cycles_reach(c, "mc-1", "job-7", CYCLE_ISSUED, 3);
	cycles_reach(c, "other", "job-3", CYCLE_SERVED, 4);
	CHECK_INT(cycles_again(c), 1);
	CHECK_INT(cycles_unread(c), 1);
	CHECK_INT(cycles_reached(c, CYCLE_SERVED), 0);
	cycles_free(c);
}

static void
test_the_dump(void)
{
	struct cycles *c = cycles_new();
	char text[512] = "";
	FILE *f = tmpfile();
	const char *why;
	size_t n;

	CHECK(f != NULL);
	CHECK_INT(read_text(c, "mc-1\nmc-2\n", &why), RC_OK);
	cycles_reach(c, "mc-2", NULL, CYCLE_DUE, 5000);
	cycles_reach(c, "mc-2", NULL, CYCLE_SERVED, 7900);
	cycles_dump(c, 1000000, f);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	CHECK(n > 0);
	fclose(f);
	CHECK_STR(text,
	    "{\"id\":\"mc-1\"}\n"
	    "{\"id\":\"mc-2\",\"due_ms\":1005,\"served_ms\":1007}\n");
	cycles_free(c);
}

CHECK_MAIN(CHECK_ROW(test_lists_that_are_refused),
    CHECK_ROW(test_the_first_time_of_each_point),
    CHECK_ROW(test_what_is_too_much), CHECK_ROW(test_the_dump))
