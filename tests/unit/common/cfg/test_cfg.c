/*
 * test_cfg: strict parsing of the environment, and the shared options.
 */
#include "common/cfg/cfg.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/plain.h"
#include "tests/unit/check.h"

static const struct cfg_key keys[] = {
    {"flag", "TEST_FLAG", CFG_BOOL, "false", 0, 0, 0, "A flag"},
    {"format", "TEST_FORMAT", CFG_ENUM, "text|json", 0, 0, 0, "A format"},
    {"hosts", "TEST_HOSTS", CFG_LIST, "a, b", 0, 3, 0, "Some hosts"},
    {"id", "TEST_ID", CFG_ID, "", 0, 10, 0, "An id"},
    {"key", "TEST_KEY", CFG_STRING, "", 4, 100, CFG_SECRET, "A key"},
    {"name", "TEST_NAME", CFG_NAME, "", 0, 10, 0, "A name"},
    {"port", "TEST_PORT", CFG_INT, "8443", 1, 65535, 0, "A port"},
    {"rate", "TEST_RATE", CFG_DECIMAL, "2.5", 1, 1000250, 0, "A rate"},
    {"room", "TEST_ROOM", CFG_SIZE, "1MiB", 1024, 1073741824, 0, "Room"},
    {"state", "TEST_STATE", CFG_PATH, "/var/lib/x", 1, 50, 0, "A directory"},
    {"sweep", "TEST_SWEEP", CFG_STRING, "", 0, 0, CFG_REFUSED,
	"nothing is swept"},
    {"url", "TEST_URL", CFG_STRING, "", 1, 20, CFG_REQUIRED, "The URL"},
    {"wait", "TEST_WAIT", CFG_DURATION, "1h30m", 1000, 7200000, 0, "A wait"},
};
static char said[8192];
static struct cfg *cfg;

static void
clear(void)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		(void)unsetenv(keys[i].env);
	(void)unsetenv("TEST_KEY_FILE");
	(void)setenv("TEST_URL", "http://x", 1);
}

/* Runs fn with a standard stream in a file; said[] is what it wrote. */
static rc
with_stream(FILE *stream, rc (*fn)(void))
{
	FILE *tmp = tmpfile();
	int old;
	size_t n;
	rc code;

	(void)fflush(stream);
	old = dup(fileno(stream));
	(void)dup2(fileno(tmp), fileno(stream));
	code = fn();
	(void)fflush(stream);
	(void)dup2(old, fileno(stream));
	(void)close(old);
	(void)fseek(tmp, 0, SEEK_SET);
	n = fread(said, 1, sizeof(said) - 1, tmp);
	said[n] = '\0';
	(void)fclose(tmp);
	return code;
}

static rc
do_load(void)
{
	cfg = NULL;
	return cfg_load(keys, ARRAY_LEN(keys), &cfg);
}

static rc
load(void)
{
	return with_stream(stderr, do_load);
}

static void
test_defaults(void)
{
	const char *const *list;

	clear();
	CHECK_INT(load(), RC_OK);
	CHECK_STR(said, "");
	CHECK(!cfg_bool(cfg, "flag"));
	CHECK_STR(cfg_str(cfg, "format"), "text");
	list = cfg_list(cfg, "hosts");
	CHECK_STR(list[0], "a");
	CHECK_STR(list[1], "b");
	CHECK(list[2] == NULL);
	CHECK_STR(cfg_str(cfg, "key"), "");
	CHECK_INT(cfg_int(cfg, "port"), 8443);
	CHECK_INT(cfg_int(cfg, "rate"), 2500);
	CHECK_INT(cfg_int(cfg, "room"), 1048576);
	CHECK_STR(cfg_str(cfg, "state"), "/var/lib/x");
	CHECK_INT(cfg_int(cfg, "wait"), 5400000);
	CHECK(!cfg_is_set(cfg, "port"));
	CHECK(cfg_is_set(cfg, "url"));
	cfg_free(cfg);
	cfg_free(NULL);
}

static void
test_values(void)
{
	const char *const *list;

	clear();
	(void)setenv("TEST_FLAG", "YES", 1);
	(void)setenv("TEST_FORMAT", "json", 1);
	(void)setenv("TEST_HOSTS", " x y ,, z,\t", 1);
	(void)setenv("TEST_KEY", "hush", 1);
	(void)setenv("TEST_PORT", "65535", 1);
	(void)setenv("TEST_RATE", "0.5", 1);
	(void)setenv("TEST_ROOM", "64KiB", 1);
	(void)setenv("TEST_WAIT", "2h", 1);
	(void)setenv("TEST_STATE", "", 1); /* empty is absent */
	CHECK_INT(load(), RC_OK);
	CHECK(cfg_bool(cfg, "flag"));
	CHECK_STR(cfg_str(cfg, "format"), "json");
	list = cfg_list(cfg, "hosts");
	CHECK_STR(list[0], "x y");
	CHECK_STR(list[1], "z");
	CHECK(list[2] == NULL);
	CHECK_STR(cfg_str(cfg, "key"), "hush");
	CHECK_INT(cfg_int(cfg, "port"), 65535);
	CHECK_INT(cfg_int(cfg, "rate"), 500);
	CHECK_INT(cfg_int(cfg, "room"), 65536);
	CHECK_INT(cfg_int(cfg, "wait"), 7200000);
	CHECK_STR(cfg_str(cfg, "state"), "/var/lib/x");
	cfg_free(cfg);
}

static void
test_refused(void)
{
	static const struct {
		const char *env, *text, *why;
	} bad[] = {
	    {"TEST_FLAG", "maybe", "true or false"},
	    {"TEST_FORMAT", "JSON", "one of text|json"},
	    {"TEST_FORMAT", "text|json", "one of text|json"},
	    {"TEST_HOSTS", "a,b,c,d", "a comma-separated list of 0 to 3"},
	    {"TEST_HOSTS", "a,b\nc", "a comma-separated list"},
	    {"TEST_HOSTS", "a,\xff", "a comma-separated list"},
	    {"TEST_HOSTS", "a,b\xe2\x80\x8b", "a comma-separated list"},
	    {"TEST_STATE", "/a\xe2\x80\xae", "a path of 1 to 50 bytes"},
	    {"TEST_URL", "a\xc2\x85z", "text of 1 to 20 bytes"},
	    {"TEST_URL", "a\tb", "text of 1 to 20 bytes"},
	    {"TEST_ID", "-rf", "A-Z a-z"},
	    {"TEST_ID", "..", "A-Z a-z"},
	    {"TEST_ID", "a/b", "A-Z a-z"},
	    {"TEST_ID", "a b", "A-Z a-z"},
	    {"TEST_ID", "12345678901", "0 to 10 of"},
	    {"TEST_NAME", "-rf", "not - first"},
	    {"TEST_NAME", "  ", "not blank"},
	    {"TEST_NAME", "\xc2\xa0", "not blank"},
	    {"TEST_NAME", "a\xe2\x80\xae", "a name of 0 to 10 bytes"},
	    {"TEST_PORT", "0", "a whole number from 1 to 65535"},
	    {"TEST_PORT", "65536", "a whole number from 1 to 65535"},
	    {"TEST_PORT", "84x", "a whole number from 1 to 65535"},
	    {"TEST_PORT", "84 ", "a whole number from 1 to 65535"},
	    {"TEST_RATE", "0", "from 0.001 to 1000.25"},
	    {"TEST_RATE", "1000.251", "from 0.001 to 1000.25"},
	    {"TEST_RATE", "0.0005", "three decimals"},
	    {"TEST_RATE", ".5", "from 0.001"},
	    {"TEST_RATE", "1.", "from 0.001"},
	    {"TEST_RATE", "1e3", "from 0.001"},
	    {"TEST_RATE", "+1", "from 0.001"},
	    {"TEST_RATE", "-1", "from 0.001"},
	    {"TEST_RATE", "1,5", "from 0.001"},
	    {"TEST_RATE", "1.5x", "from 0.001"},
	    {"TEST_RATE", "99999999999999999999", "from 0.001"},
	    {"TEST_ROOM", "1023", "from 1KiB to 1GiB"},
	    {"TEST_ROOM", "2GiB", "from 1KiB to 1GiB"},
	    {"TEST_ROOM", "1MB", "from 1KiB to 1GiB"},
	    {"TEST_ROOM", "99999999TiB", "from 1KiB to 1GiB"},
	    {"TEST_ROOM", "MiB", "from 1KiB to 1GiB"},
	    {"TEST_STATE", "/a\nb", "a path of 1 to 50 bytes"},
	    {"TEST_URL", "123456789012345678901", "text of 1 to 20 bytes"},
	    {"TEST_URL", "a\xff", "text of 1 to 20 bytes"},
	    {"TEST_WAIT", "999ms", "from 1s to 2h"},
	    {"TEST_WAIT", "2h1ms", "from 1s to 2h"},
	    {"TEST_WAIT", "60", "from 1s to 2h"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		clear();
		(void)setenv(bad[i].env, bad[i].text, 1);
		CHECK_INT(load(), RC_INVALID);
		CHECK(cfg == NULL);
		/* variable, value and range, on one line */
		CHECK(strncmp(said, "configuration: ", 15) == 0);
		CHECK(strstr(said, bad[i].env) != NULL);
		CHECK(strstr(said, bad[i].why) != NULL);
		CHECK(plain_is_text(said));
		CHECK(strchr(said, '\n') == said + strlen(said) - 1);
	}
	clear();
	(void)setenv("TEST_PORT", "0", 1);
	(void)load();
	CHECK_STR(said,
	    "configuration: TEST_PORT=\"0\" is refused: it must be a whole "
	    "number from 1 to 65535\n");
}

static void
test_decimals(void)
{
	static const struct {
		const char *text;
		int64_t thousandths;
	} good[] = {{"1", 1000}, {"1.0", 1000}, {"007.25", 7250}, {"0.001", 1},
	    {"0.010", 10}, {"1000.25", 1000250}};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		clear();
		(void)setenv("TEST_RATE", good[i].text, 1);
		CHECK_INT(load(), RC_OK);
		CHECK_INT(cfg_int(cfg, "rate"), good[i].thousandths);
		cfg_free(cfg);
	}
}

/* Known to others, and obeyed by nobody here. */
static void
test_refused_names(void)
{
	clear();
	(void)setenv("TEST_SWEEP", "5m", 1);
	CHECK_INT(load(), RC_INVALID);
	CHECK_STR(said,
	    "configuration: TEST_SWEEP is refused: nothing is swept\n");
	(void)setenv("TEST_SWEEP", "", 1);
	CHECK_INT(load(), RC_OK);
	cfg_free(cfg);
}

static void
test_all_mistakes(void)
{
	clear();
	(void)unsetenv("TEST_URL");
	(void)setenv("TEST_PORT", "no", 1);
	(void)setenv("TEST_KEY", "abc", 1);
	CHECK_INT(load(), RC_INVALID);
	CHECK(strstr(said, "TEST_URL is not set: The URL\n") != NULL);
	CHECK(strstr(said, "TEST_PORT=\"no\"") != NULL);
	/* a secret's value is never repeated */
	CHECK(strstr(said, "TEST_KEY (a secret of 3 bytes)") != NULL);
	CHECK(strstr(said, "abc") == NULL);
}

static void
put_file(const char *path, const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK(write(fd, text, len) == (ssize_t)len);
	CHECK(fchmod(fd, mode) == 0);
	CHECK(close(fd) == 0);
}

static void
test_secret_file(void)
{
	char path[] = "/tmp/test_cfg_XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	(void)close(fd);
	clear();
	(void)setenv("TEST_KEY_FILE", path, 1);
	put_file(path, "from file\n", 10, 0600);
	CHECK_INT(load(), RC_OK);
	CHECK_STR(cfg_str(cfg, "key"), "from file");
	CHECK(cfg_is_set(cfg, "key"));
	cfg_free(cfg);
	put_file(path, "from file\n", 10, 0644);
	CHECK_INT(load(), RC_INVALID);
	CHECK(strstr(said, "TEST_KEY_FILE=") != NULL);
	CHECK(strstr(said, "chmod 600") != NULL);
	put_file(path, "with\0zero", 9, 0600);
	CHECK_INT(load(), RC_INVALID);
	put_file(path, "\n", 1, 0600);
	CHECK_INT(load(), RC_INVALID);
	put_file(path, "abc\n", 4, 0600);
	CHECK_INT(load(), RC_INVALID);
	CHECK(strstr(said, "abc") == NULL);
	put_file(path, "good\n", 5, 0600);
	(void)setenv("TEST_KEY", "good", 1);
	CHECK_INT(load(), RC_INVALID);
	CHECK(strstr(said, "both set") != NULL);
	clear();
	(void)unlink(path);
	(void)setenv("TEST_KEY_FILE", path, 1);
	CHECK_INT(load(), RC_INVALID);
	CHECK(strstr(said, "cannot be read") != NULL);
	/* only secrets come from files */
	clear();
	(void)setenv("TEST_PORT_FILE", path, 1);
	CHECK_INT(load(), RC_OK);
	cfg_free(cfg);
	(void)unsetenv("TEST_PORT_FILE");
}

static rc
do_print(void)
{
	cfg_print(cfg);
	return RC_OK;
}

static void
test_print(void)
{
	clear();
	(void)setenv("TEST_KEY", "hush", 1);
	CHECK_INT(load(), RC_OK);
	CHECK_INT(with_stream(stdout, do_print), RC_OK);
	CHECK(strstr(said, "TEST_KEY=********\n") != NULL);
	CHECK(strstr(said, "hush") == NULL);
	CHECK(strstr(said, "TEST_SWEEP") == NULL);
	CHECK(strstr(said, "TEST_PORT=8443  # default\n") != NULL);
	CHECK(strstr(said, "TEST_URL=http://x\n") != NULL);
	cfg_free(cfg);
}

static char *arg;
static int code_out;
static bool ended, is_check;

static rc
do_main(void)
{
	char program[] = "prog";
	char *argv[] = {program, arg, NULL};

	cfg = NULL;
	code_out = -1;
	is_check = false;
	ended = cfg_main(arg != NULL ? 2 : 1, argv, "prog", "does things", keys,
	    ARRAY_LEN(keys), "  --migrate-only  only migrate\n", &cfg,
	    &is_check, &code_out);
	return RC_OK;
}

static void
run_main(const char *text, FILE *stream)
{
	arg = text != NULL ? strdup(text) : NULL;
	(void)with_stream(stream, do_main);
	free(arg);
}

static void
test_main_options(void)
{
	clear();
	run_main("--help", stdout);
	CHECK(ended && code_out == 0);
	CHECK(strstr(said, "prog: does things") != NULL);
	CHECK(strstr(said, "--migrate-only  only migrate\n") != NULL);
	CHECK(strstr(said, "TEST_KEY (secret; or _FILE)") != NULL);
	CHECK(strstr(said, "default 1h30m") != NULL);
	CHECK(strstr(said, "refused: nothing is swept") != NULL);
	run_main("--version", stdout);
	CHECK(ended && code_out == 0);
	CHECK_STR(said, "prog " CERTCTL_VERSION "\n");
	run_main("--check-config", stdout);
	CHECK(!ended && is_check && cfg != NULL);
	cfg_free(cfg);
	run_main("--print-config", stdout);
	CHECK(ended && code_out == 0);
	CHECK(strstr(said, "TEST_PORT=8443") != NULL);
	run_main("--verison", stderr);
	CHECK(ended && code_out == 2);
	CHECK(strstr(said, "unknown option \"--verison\"") != NULL);
	run_main("--migrate", stderr); /* a beginning is not the option */
	CHECK(ended && code_out == 2);
	run_main("only", stderr); /* a word of the help is not one either */
	CHECK(ended && code_out == 2);
	run_main("", stderr);
	CHECK(ended && code_out == 2);
	(void)setenv("TEST_PORT", "0", 1);
	run_main("--check-config", stderr);
	CHECK(ended && code_out == 1);
	run_main(NULL, stderr);
	CHECK(ended && code_out == 1);
}

static void
test_check_names_unread_variables(void)
{
	static const char typo[] = "configuration: CERTCTL_NONSENSE means "
				   "nothing to prog, nor to any other "
				   "program\n";

	clear();
	(void)setenv("CERTCTL_NONSENSE", "s3cret", 1);
	(void)setenv("TEST_KEY_FILE", "/dev/null", 1);
	run_main("--check-config", stderr);
	CHECK(ended && code_out == 1); /* the file is no secret */
	CHECK(strstr(said, typo) != NULL);
	(void)unsetenv("TEST_KEY_FILE");
	run_main("--check-config", stderr);
	CHECK(!ended && is_check);
	cfg_free(cfg);
	CHECK_STR(said, typo);
	(void)unsetenv("CERTCTL_NONSENSE");
	run_main("--check-config", stderr);
	CHECK(!ended && is_check);
	cfg_free(cfg);
	CHECK_STR(said, "");
}

static char line_said[1000];
static bool line_is_unknown;

static void
take_line(const char *line, bool is_unknown)
{
	(void)snprintf(line_said, sizeof(line_said), "%s", line);
	line_is_unknown = is_unknown;
}

/* How many are mistakes, with this one variable set; line_said is about it. */
static size_t
unread(const char *name)
{
	size_t n;

	line_said[0] = '\0';
	(void)setenv(name, "s3cret", 1);
	n = cfg_unread("prog", keys, ARRAY_LEN(keys), take_line);
	CHECK_INT(cfg_unread("prog", keys, ARRAY_LEN(keys), NULL), n);
	(void)unsetenv(name);
	CHECK(strstr(line_said, "s3cret") == NULL);
	return n;
}

/* A program's own are known by its table, others' by the list of all. */
static void
test_unread_is_told_apart(void)
{
	clear();
	CHECK_INT(unread("PATH_OF_SOMEBODY"), 0);
	CHECK_STR(line_said, "");
	CHECK_INT(unread("CERTCTL_WORKER_SLOTS"), 0);
	CHECK_STR(line_said,
	    "CERTCTL_WORKER_SLOTS means nothing to prog; it is for "
	    "certctl-worker");
	CHECK(!line_is_unknown);
	CHECK_INT(unread("CERTCTL_CA_ENCRYPTION_KEY_FILE"), 0);
	CHECK(!line_is_unknown);
	/* Obeyed by all. */
	CHECK_INT(unread("CERTCTL_FAULT_FILE"), 0);
	CHECK_STR(line_said, "");
	/* Known to others, obeyed by nobody. */
	CHECK_INT(unread("CERTCTL_RATE_LIMIT_JANITOR_INTERVAL"), 1);
	CHECK(line_is_unknown);
	/* Only a secret comes from a file. */
	CHECK_INT(unread("CERTCTL_WORKER_SLOTS_FILE"), 1);
}

static void
test_what_was_meant(void)
{
	static const struct {
		const char *name, *meant;
	} typos[] = {
	    {"CERTCTL_RATE_LIMIT_RSP", "CERTCTL_RATE_LIMIT_RPS"},
	    {"CERTCTL_RATE_LIMT_RPS", "CERTCTL_RATE_LIMIT_RPS"},
	    {"CERTCTL_LOG_LEVELS", "CERTCTL_LOG_LEVEL"},
	    {"CERTCTL_DATABASE_URI", "CERTCTL_DATABASE_URL"},
	    {"CERTCTL_API_KEY_FILES", "CERTCTL_API_KEY_FILE"},
	};
	char big[300];

	clear();
	for (size_t i = 0; i < ARRAY_LEN(typos); i++) {
		CHECK_INT(unread(typos[i].name), 1);
		CHECK(line_is_unknown);
		(void)snprintf(big, sizeof(big), "; did you mean %s?",
		    typos[i].meant);
		CHECK(strstr(line_said, big) != NULL);
	}
	CHECK_INT(unread("CERTCTL_"), 1);
	CHECK(strstr(line_said, "did you mean") == NULL);
	CHECK_INT(unread("CERTCTL_SOMETHING_ELSE"), 1);
	CHECK(strstr(line_said, "did you mean") == NULL);
	memset(big, 'X', sizeof(big));
	memcpy(big, "CERTCTL_", 8);
	big[sizeof(big) - 1] = '\0';
	CHECK_INT(unread(big), 1);
}

static void
test_main_goes_on(void)
{
	clear();
	run_main(NULL, stdout);
	CHECK(!ended);
	CHECK_INT(cfg_int(cfg, "port"), 8443);
	cfg_free(cfg);
	run_main("--migrate-only", stdout);
	CHECK(!ended);
	CHECK(cfg != NULL);
	cfg_free(cfg);
}

CHECK_MAIN(CHECK_ROW(test_defaults), CHECK_ROW(test_values),
    CHECK_ROW(test_refused), CHECK_ROW(test_decimals),
    CHECK_ROW(test_refused_names), CHECK_ROW(test_all_mistakes),
    CHECK_ROW(test_secret_file), CHECK_ROW(test_print),
    CHECK_ROW(test_main_options), CHECK_ROW(test_check_names_unread_variables),
    CHECK_ROW(test_unread_is_told_apart), CHECK_ROW(test_what_was_meant),
    CHECK_ROW(test_main_goes_on))
