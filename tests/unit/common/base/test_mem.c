/*
 * test_mem: allocation that never fails, and what it does instead.
 */
#include "common/base/mem.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

static void
test_alloc(void)
{
	char *p = mem_zalloc(1000);

	for (size_t i = 0; i < 1000; i++)
		CHECK_INT(p[i], 0);
	p = mem_realloc(p, 500, 4);
	memset(p, 1, 2000);
	p = mem_realloc(p, 0, 4);
	CHECK(p != NULL);
	free(p);
	p = mem_zalloc(0);
	CHECK(p != NULL);
	free(p);
}

static void
test_strings(void)
{
	char *s = mem_strdup("hello");
	char *t = mem_strndup("hello", 2);
	char *u = mem_strndup("a", 9);

	CHECK_STR(s, "hello");
	CHECK_STR(t, "he");
	CHECK_STR(u, "a");
	mem_freep(&s);
	CHECK(s == NULL);
	mem_freep(&s);
	mem_freep(&t);
	mem_freep(&u);
}

static void
test_wipe(void)
{
	char key[16] = "very secret key";

	mem_wipe(key, sizeof(key));
	for (size_t i = 0; i < sizeof(key); i++)
		CHECK_INT(key[i], 0);
	mem_wipe(NULL, 0);
}

/* count * size overflows: the process must end, never get a short block. */
static void
test_overflow_ends(void)
{
	const struct rlimit no_core = {0, 0};
	volatile size_t huge = SIZE_MAX / 2;
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)close(STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		free(mem_realloc(NULL, huge, 4));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	/* a sanitizer ends the process in its own way */
	CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

CHECK_MAIN(CHECK_ROW(test_alloc), CHECK_ROW(test_strings), CHECK_ROW(test_wipe),
    CHECK_ROW(test_overflow_ends))
