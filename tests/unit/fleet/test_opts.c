#include "deploy/test/loadtest/fleet/opts.h"

#include "tests/unit/check.h"

#define ARGS_MAX 24
#define TEXT_MAX 64

/* False: they were refused, or help was asked for.  Texts of o are good until
 * the next call. */
static bool
read_words(const char *const *words, struct opts *o, int *status)
{
	static char texts[ARGS_MAX][TEXT_MAX];
	char *argv[ARGS_MAX + 1] = {texts[0]};
	int n = 1;

	(void)snprintf(texts[0], TEXT_MAX, "certctl-fleet");
	for (; words[n - 1]; n++) {
		(void)snprintf(texts[n], TEXT_MAX, "%s", words[n - 1]);
		argv[n] = texts[n];
	}
	argv[n] = NULL;
	return !opts_read(n, argv, o, status);
}

#define READ(o, status, ...) \
	read_words((const char *const[]){__VA_ARGS__, NULL}, (o), (status))

static void
test_what_is_not_said(void)
{
	struct opts o;
	int status;

	CHECK(READ(&o, &status, "--agents", "40", "--dir", "/tmp/x"));
	CHECK_INT(o.agents, 40);
	CHECK_STR(o.dir, "/tmp/x");
	CHECK_STR(o.prefix, "fleet");
	CHECK_INT(o.start_rate, 200);
	CHECK_INT(o.for_ms, 300000);
	CHECK(!o.register_only && !o.certificates && !o.out && !o.events);
	CHECK_INT(o.listen, 0);
}

static void
test_all_of_it(void)
{
	struct opts o;
	int status;

	CHECK(READ(&o, &status, "--agents=10000", "--dir=/d", "--prefix=a-1",
	    "--start-rate=500", "--certificates=/c", "--listen=7443",
	    "--ask=20", "--operator-key-file=/k", "--for=90s", "--out=/o",
	    "--events=/e"));
	CHECK_INT(o.agents, 10000);
	CHECK_STR(o.prefix, "a-1");
	CHECK_INT(o.start_rate, 500);
	CHECK_STR(o.certificates, "/c");
	CHECK_INT(o.listen, 7443);
	CHECK_INT(o.ask_rate, 20);
	CHECK_STR(o.operator_key_file, "/k");
	CHECK_INT(o.for_ms, 90000);
	CHECK_STR(o.out, "/o");
	CHECK_STR(o.events, "/e");
}

static void
test_what_is_refused(void)
{
	static const char *const bad[][6] = {
	    {"--agents", "0", "--dir", "/d"},
	    {"--agents", "10001", "--dir", "/d"},
	    {"--agents", "1x", "--dir", "/d"},
	    {"--agents", "", "--dir", "/d"},
	    {"--dir", "/d"},
	    {"--agents", "1"},
	    {"--agents", "1", "--dir", "d"},
	    {"--agents", "1", "--dir", "/d", "--prefix="},
	    {"--agents", "1", "--dir", "/d", "--prefix=-a"},
	    {"--agents", "1", "--dir", "/d", "--prefix=a/b"},
	    {"--agents", "1", "--dir", "/d", "--start-rate=0"},
	    {"--agents", "1", "--dir", "/d", "--for=999ms"},
	    {"--agents", "1", "--dir", "/d", "--for=25h"},
	    {"--agents", "1", "--dir", "/d", "--listen=65536"},
	    {"--agents", "1", "--dir", "/d", "--listen=5"},
	    {"--agents", "1", "--dir", "/d", "--certificates=/c"},
	    {"--agents", "1", "--dir", "/d", "--ask=5"},
	    {"--agents", "1", "--dir", "/d", "--events=/e"},
	    {"--agents", "1", "--dir", "/d", "--operator-key-file=/k"},
	    {"--agents", "1", "--dir", "/d", "--unknown"},
	    {"--agents", "1", "--dir", "/d", "word"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct opts o;
		int status = 0;

		CHECK(!read_words(bad[i], &o, &status));
		CHECK_INT(status, 2);
	}
}

static void
test_help_is_no_mistake(void)
{
	struct opts o;
	int status = 7;

	CHECK(!READ(&o, &status, "--help"));
	CHECK_INT(status, 0);
}

CHECK_MAIN(CHECK_ROW(test_what_is_not_said), CHECK_ROW(test_all_of_it),
    CHECK_ROW(test_what_is_refused), CHECK_ROW(test_help_is_no_mistake))
