/*
 * test_log_peer: what a peer can make us write in a second.
 */
#include "common/log/log_peer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/check.h"

static char out[65536];
static FILE *file;
static int real_stderr;
static int64_t now_ms;
static int wakes;

static void
set_now(int64_t ms)
{
	now_ms = ms;
	clock_set_fake(ms, 1795463788123456);
}

static void
on_held(void *arg)
{
	CHECK(arg == &wakes);
	wakes++;
}

/* Later than whatever an earlier test wrote. */
static void
begin(void)
{
	set_now(now_ms + 100000);
	(void)log_peer_flush(true);
	log_init("scheduler", LOG_INFO, false);
	wakes = 0;
	log_peer_on_held(on_held, &wakes);
	file = tmpfile();
	CHECK(file != NULL);
	real_stderr = dup(STDERR_FILENO);
	CHECK(dup2(fileno(file), STDERR_FILENO) == STDERR_FILENO);
}

static const char *
written(void)
{
	size_t n;

	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	rewind(file);
	n = fread(out, 1, sizeof(out) - 1, file);
	(void)fclose(file);
	out[n] = '\0';
	log_peer_on_held(NULL, NULL);
	return out;
}

static size_t
count(const char *text)
{
	size_t n = 0;

	for (const char *p = out; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

static void
test_first_at_once_then_the_latest(void)
{
	begin();
	for (int i = 0; i < 1000; i++)
		log_peer(LOG_WARN, "BAD", "pid 7", "no %d.", i);
	CHECK_INT(wakes, 1);
	set_now(now_ms + LOG_PEER_EVERY_MS - 1);
	CHECK(log_peer_flush(false));
	set_now(now_ms + 1);
	CHECK(!log_peer_flush(false));
	CHECK(!log_peer_flush(false));
	log_peer(LOG_WARN, "BAD", "pid 7", "one more");
	CHECK_INT(wakes, 2);
	(void)written();
	CHECK_INT(count("\n"), 2);
	CHECK(strstr(out, "code=BAD msg=\"no 0.\"\n") != NULL);
	CHECK(strstr(out, "code=BAD msg=\"no 999.\" left_out=998\n") != NULL);
	(void)log_peer_flush(true);
}

/* Nobody flushes: the next line past the second says what was left out. */
static void
test_next_line_tells(void)
{
	begin();
	for (int i = 0; i < 10; i++)
		log_peer(LOG_WARN, "BAD", "a", "no %d.", i);
	set_now(now_ms + LOG_PEER_EVERY_MS);
	log_peer(LOG_WARN, "BAD", "a", "last");
	(void)written();
	CHECK_INT(count("\n"), 2);
	CHECK(strstr(out, "msg=\"last\" left_out=9\n") != NULL);
}

static void
test_apart(void)
{
	begin();
	for (int i = 0; i < 10; i++) {
		log_peer(LOG_WARN, "ONE", "a", "x");
		log_peer(LOG_WARN, "ONE", "b", "x");
		log_peer(LOG_WARN, "TWO", "a", "x");
		log_peer_fields(LOG_INFO, "THREE", "a", "x", "k", "v", NULL);
	}
	(void)written();
	CHECK_INT(count("code=ONE"), 2);
	CHECK_INT(count("code=TWO"), 1);
	CHECK_INT(count("code=THREE msg=\"x\" k=v"), 1);
	CHECK(log_peer_flush(true) == false);
}

/* A new name with each line, as long as it likes, in the worst of texts. */
static void
test_names_without_end(void)
{
	enum { SECONDS = 10, LINES = 500 };
	char peer[300], text[4096];
	size_t lines = 0;

	memset(text, '\x01', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int s = 0; s < SECONDS; s++) {
		begin();
		for (int i = 0; i < LINES; i++) {
			(void)snprintf(peer, sizeof(peer), "%d-%0200d", i, s);
			log_peer(LOG_WARN, "BAD", peer, "%s", text);
		}
		set_now(now_ms + LOG_PEER_EVERY_MS);
		CHECK(!log_peer_flush(false));
		(void)written();
		lines += count("\n");
		CHECK(strlen(out) < 12 * 1024);
	}
	CHECK_INT(lines, SECONDS * (LOG_PEER_PEERS_MAX + 2));
	CHECK_INT(count("left_out="), 1);
}

static void
test_debug_is_not_limited(void)
{
	begin();
	log_peer(LOG_DEBUG, "D", "a", "hidden");
	log_init("scheduler", LOG_DEBUG, false);
	for (int i = 0; i < 5; i++)
		log_peer(LOG_DEBUG, "D", "a", "x");
	(void)written();
	CHECK_INT(count("code=D msg=\"x\""), 5);
	CHECK_INT(count("hidden"), 0);
}

CHECK_MAIN(CHECK_ROW(test_first_at_once_then_the_latest),
    CHECK_ROW(test_next_line_tells), CHECK_ROW(test_apart),
    CHECK_ROW(test_names_without_end), CHECK_ROW(test_debug_is_not_limited))
