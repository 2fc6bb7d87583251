/*
 * Patterns of names: what is one, and what each matches.
 */
#include "common/pki/profile/namepattern.h"

#include <string.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static void
test_matches(void)
{
	static const struct {
		const char *pattern, *name;
		bool is;
	} cases[] = {
	    {".*\\.example\\.com", "www.example.com", true},
	    {"^.*\\.example\\.com$", "a.b.example.com", true},
	    {".*\\.example\\.com", "example.com", false},
	    {".*\\.example\\.com", "www.exampleXcom", false},
	    {".*\\.example\\.com", "www.example.com.evil.test", false},
	    {"example\\.com", "www.example.com", false},
	    {"WWW\\.example\\.com", "www.EXAMPLE.com", true},
	    {"[a-z0-9-]+\\.example\\.com", "web-7.example.com", true},
	    {"[A-C]\\.x", "b.x", true},
	    {"[a-z]+\\.x", "a7.x", false},
	    {"[^0-9]+", "abc", true},
	    {"[^0-9]+", "ab1", false},
	    {"[a-]", "-", true},
	    {"\\*\\..*", "*.example.com", true},
	    {"colou?r", "color", true},
	    {"colou?r", "colour", true},
	    {"colou?r", "colouur", false},
	    {"a*b*c", "aabbc", true},
	    {"a*b*c", "c", true},
	    {"a*b*c", "ba", false},
	    {"a+", "", false},
	    {"a*", "", true},
	    {"10\\.0\\.[0-9]+\\.[0-9]+", "10.0.12.7", true},
	    {".*@example\\.com", "ops@example.com", true},
	};
	struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct namepattern *p = NULL;
		const char *why = NULL;

		CHECK_INT(namepattern_read(a, cases[i].pattern, &p, &why),
		    RC_OK);
		if (namepattern_matches(p, cases[i].name) != cases[i].is)
			CHECK_STR(cases[i].name, cases[i].pattern);
	}
	arena_free(a);
}

static void
test_refused(void)
{
	static const char *const cases[] = {"", "^", "*.example.com", "+a",
	    "a**", "a{2}", "(a)", "a|b", "a]", "[", "[]", "[a", "[^]", "[z-a]",
	    "[a\\]", "[[:alpha:]]", "\\d", "\\", "a^b", "a$b", "$$"};
	struct arena *a = arena_new();
	char longest[NAMEPATTERN_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i <= ARRAY_LEN(cases); i++) {
		const char *text = i < ARRAY_LEN(cases) ? cases[i] : longest;
		const struct namepattern *p = NULL;
		const char *why = NULL;

		if (namepattern_read(a, text, &p, &why) != RC_INVALID)
			CHECK_STR("read", text);
		CHECK(why != NULL);
	}
	arena_free(a);
}

static void
test_spiffe(void)
{
	static const struct {
		const char *pattern, *name;
		bool is;
	} cases[] = {
	    {"spiffe://example.com/workload/*",
		"spiffe://example.com/workload/web", true},
	    {"spiffe://example.com/workload/*",
		"spiffe://example.com/workload/", false},
	    {"spiffe://example.com/workload/*",
		"spiffe://example.com/Workload/web", false},
	    {"spiffe://example.com/workload/*",
		"spiffe://exampleXcom/workload/web", false},
	    {"spiffe://example.com/ns/*/sa/*", "spiffe://example.com/ns/a/sa/b",
		true},
	    {"spiffe://example.com/ns/*/sa/*", "spiffe://example.com/ns/a/x/b",
		false},
	};
	static const char *const bad[] = {"", "example.com", "https://a/b",
	    "spiffe://", "spiffe://a", "spiffe://a/", "spiffe://*/b",
	    "spiffe://A/b", "spiffe://a/b?c", "spiffe://a/b c"};
	struct arena *a = arena_new();
	const struct namepattern *p = NULL;
	const char *why = NULL;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CHECK_INT(namepattern_read_spiffe(a, cases[i].pattern, &p,
			      &why),
		    RC_OK);
		if (namepattern_matches(p, cases[i].name) != cases[i].is)
			CHECK_STR(cases[i].name, cases[i].pattern);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		why = NULL;
		CHECK_INT(namepattern_read_spiffe(a, bad[i], &p, &why),
		    RC_INVALID);
		CHECK(why != NULL);
	}
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_matches), CHECK_ROW(test_refused),
    CHECK_ROW(test_spiffe))
