/*
 * check: the small harness of the unit tests.
 *
 * A test program is a list of functions: CHECK_MAIN(test_a, test_b).  Each
 * prints one line; a failed CHECK names file, line and expression, and ends
 * that test.  Exit status 1 when any failed.
 */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

static jmp_buf check_jump;

#define CHECK(expr) \
	do { \
		if (!(expr)) { \
			printf("  %s:%d: not true: %s\n", __FILE__, __LINE__, \
			    #expr); \
			longjmp(check_jump, 1); \
		} \
	} while (0)
#define CHECK_STR(got, want) \
	do { \
		const char *check_g = (got), *check_w = (want); \
		if (!check_g || strcmp(check_g, check_w) != 0) { \
			printf("  %s:%d: %s is \"%s\", not \"%s\"\n", \
			    __FILE__, __LINE__, #got, \
			    check_g ? check_g : "(null)", check_w); \
			longjmp(check_jump, 1); \
		} \
	} while (0)
/* Why something was refused holds these words; NULL: it was not. */
#define CHECK_WHY(got, words) \
	do { \
		const char *check_g = (got), *check_w = (words); \
		if (check_w ? !check_g || !strstr(check_g, check_w) \
			    : check_g != NULL) { \
			printf("  %s:%d: refused for \"%s\", not \"%s\"\n", \
			    __FILE__, __LINE__, check_g ? check_g : "(taken)", \
			    check_w ? check_w : "(taken)"); \
			longjmp(check_jump, 1); \
		} \
	} while (0)
#define CHECK_INT(got, want) \
	do { \
		long long check_g = (long long)(got); \
		long long check_w = (long long)(want); \
		if (check_g != check_w) { \
			printf("  %s:%d: %s is %lld, not %lld\n", __FILE__, \
			    __LINE__, #got, check_g, check_w); \
			longjmp(check_jump, 1); \
		} \
	} while (0)

struct check_test {
	const char *name;
	void (*fn)(void);
};

static inline int
check_run(const struct check_test *tests, size_t n)
{
	volatile int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (volatile size_t i = 0; i < n; i++) {
		if (setjmp(check_jump) == 0) {
			tests[i].fn();
			printf("ok %s\n", tests[i].name);
		} else {
			printf("FAILED %s\n", tests[i].name);
			failed++;
		}
	}
	printf("%zu passed, %d failed\n", n - (size_t)failed, failed);
	return failed ? 1 : 0;
}

#define CHECK_ROW(fn) \
	{ \
#fn, fn \
	}
#define CHECK_MAIN(...) \
	int main(void) \
	{ \
		const struct check_test tests[] = {__VA_ARGS__}; \
		return check_run(tests, sizeof(tests) / sizeof(tests[0])); \
	}

#endif
