/*
 * test_log: the lines, and that nobody's text can forge one.
 */
#include "common/log/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "tests/unit/check.h"

#define HEAD "ts=2026-11-23T19:56:28.123Z "

static char out[65536];
static int pipe_fds[2], real_stderr;

/* Standard error becomes a pipe until captured() reads it. */
static void
capture(void)
{
	CHECK(pipe(pipe_fds) == 0);
	real_stderr = dup(STDERR_FILENO);
	CHECK(dup2(pipe_fds[1], STDERR_FILENO) == STDERR_FILENO);
}

static const char *
captured(void)
{
	ssize_t n;

	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	(void)close(pipe_fds[1]);
	/* one line is one write: it arrives in one read */
	n = read(pipe_fds[0], out, sizeof(out) - 1);
	(void)close(pipe_fds[0]);
	out[n > 0 ? n : 0] = '\0';
	return out;
}

static void
begin(enum log_level least, bool json)
{
	clock_set_fake(1, 1795463788123456);
	log_init("scheduler", least, json);
	capture();
}

static void
test_logfmt(void)
{
	begin(LOG_INFO, false);
	log_warn("LEASE-LOST", "held %s for %d s", "l-1", 3);
	CHECK_STR(captured(),
	    HEAD "level=warn proc=scheduler "
		 "code=LEASE-LOST msg=\"held l-1 for 3 s\"\n");
}

static void
test_level(void)
{
	begin(LOG_WARN, false);
	log_info("A", "not shown");
	log_debug("B", "not shown");
	log_fields(LOG_INFO, "C", "not shown", "k", "v", NULL);
	CHECK(!log_is_on(LOG_INFO));
	CHECK(log_is_on(LOG_WARN));
	log_error("D", "shown");
	CHECK_STR(captured(),
	    HEAD "level=error proc=scheduler code=D msg=\"shown\"\n");
}

static void
test_fields(void)
{
	begin(LOG_INFO, false);
	log_fields(LOG_INFO, "OP", "done", "id", "req-1", "who", "a b", "empty",
	    "", "none", NULL, "eq", "a=b", NULL);
	CHECK_STR(captured(),
	    HEAD "level=info proc=scheduler code=OP "
		 "msg=\"done\" id=req-1 who=\"a b\" empty=\"\" none=\"\" "
		 "eq=\"a=b\"\n");
}

static void
test_forged(void)
{
	begin(LOG_INFO, false);
	log_info("A", "%s",
	    "x\" level=error\n\r\tts=\x1b[2J\\ \x7f \xc2\x9b "
	    "\xff \xc3\xa9 \xe2\x82");
	CHECK_STR(captured(), HEAD
	    "level=info proc=scheduler code=A "
	    "msg=\"x\\\" level=error\\n\\r\\tts=\\x1b[2J\\\\ \\x7f \\u009b "
	    "\\xff \xc3\xa9 \\xe2\\x82\"\n");
}

/* What turns the writing or takes no room, in both formats. */
static void
test_hidden(void)
{
	static const char said[] = "a\xe2\x80\xae\xe2\x80\x8b\xc2\xad"
				   "\xf3\xa0\x81\x81\xf0\x9f\x98\x80z";

	for (int as_json = 0; as_json < 2; as_json++) {
		begin(LOG_INFO, as_json == 1);
		log_info("A", "%s", said);
		CHECK(strstr(captured(), "a\\u202e\\u200b\\u00ad\\udb40\\udc41"
					 "\xf0\x9f\x98\x80z") != NULL);
	}
}

static void
test_json(void)
{
	struct arena *a = arena_new();
	const struct cJSON *v = NULL;
	const char *s = NULL, *why = NULL;
	size_t len;

	begin(LOG_INFO, true);
	log_fields(LOG_INFO, "OP",
	    "a\"b\\c\n\x01\x7f \xff \xc2\x9b \xe2\x82\xac", "k", "v", NULL);
	(void)captured();
	len = strlen(out);
	CHECK_INT(out[len - 1], '\n');
	CHECK(memchr(out, '\n', len - 1) == NULL);
	/* the strict reader is the judge */
	CHECK_INT(json_parse(a, out, len, &v, &why), RC_OK);
	CHECK_INT(json_str(v, "msg", 1000, &s), RC_OK);
	CHECK_STR(s, "a\"b\\c\n\x01\x7f \xef\xbf\xbd \xc2\x9b \xe2\x82\xac");
	CHECK_INT(json_str(v, "ts", 100, &s), RC_OK);
	CHECK_STR(s, "2026-11-23T19:56:28.123Z");
	CHECK_INT(json_str(v, "level", 100, &s), RC_OK);
	CHECK_STR(s, "info");
	CHECK_INT(json_str(v, "k", 100, &s), RC_OK);
	CHECK_STR(s, "v");
	arena_free(a);
}

static void
test_long(void)
{
	char *text = malloc(20001);
	size_t len;

	CHECK(text != NULL);
	memset(text, 'a', 20000);
	text[20000] = '\0';
	begin(LOG_INFO, false);
	log_info("A", "%s", text);
	(void)captured();
	len = strlen(out);
	CHECK(len > 8000 && len < 8500);
	CHECK_STR(out + len - 8, "aaa...\"\n");
	begin(LOG_INFO, false);
	log_fields(LOG_INFO, "A", "t", "k", text, NULL);
	(void)captured();
	len = strlen(out);
	CHECK(len > 1000 && len < 1500);
	free(text);
}

static void
test_errno_kept(void)
{
	begin(LOG_INFO, false);
	errno = EAGAIN;
	log_info("A", "x");
	CHECK_INT(errno, EAGAIN);
	(void)captured();
}

static void
test_fatal_aborts(void)
{
	const struct rlimit no_core = {0, 0};
	int status;
	pid_t pid;

	begin(LOG_ERROR, false);
	pid = fork();
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		log_fatal("BUG", "state %d", 7);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(strstr(captured(), "level=fatal proc=scheduler code=BUG "
				 "msg=\"state 7\"\n") != NULL);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

CHECK_MAIN(CHECK_ROW(test_logfmt), CHECK_ROW(test_level),
    CHECK_ROW(test_fields), CHECK_ROW(test_forged), CHECK_ROW(test_hidden),
    CHECK_ROW(test_json), CHECK_ROW(test_long), CHECK_ROW(test_errno_kept),
    CHECK_ROW(test_fatal_aborts))
