/*
 * test_body_input: a body of a file, or why it is none.
 */
#include "cli/body_input.h"

#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

static struct cli cli;
static char path[64];
static int last_code;

static void
begin(void)
{
	arena_free(cli.arena);
	cli = (struct cli){.server = "https://x", .arena = arena_new()};
}

static void
write_file(const char *text)
{
	FILE *f;

	(void)snprintf(path, sizeof(path), "/tmp/certctl-body-%d", getpid());
	f = fopen(path, "w");
	CHECK(f);
	(void)fputs(text, f);
	CHECK_INT(fclose(f), 0);
}

/* The body, or what was told; last_code has the exit code. */
static const char *
read_body(const char *file)
{
	struct cJSON *body = NULL;

	capture_begin();
	last_code = body_input(&cli, file, &body);
	capture_end();
	CHECK_STR(captured_out(), "");
	return last_code == EXIT_DONE ? json_text(cli.arena, body)
				      : captured_err();
}

static const char *
of_file(const char *text)
{
	const char *said;

	begin();
	write_file(text);
	said = read_body(path);
	unlink(path);
	return said;
}

static void
a_file_is_json_or_yaml(void)
{
	CHECK_STR(of_file(" {\"a\": [1, true]}\n"), "{\"a\":[1,true]}");
	CHECK_STR(of_file("a:\n- 1\n- true\n"), "{\"a\":[1,true]}");
	/* What begins with { is JSON to the letter. */
	CHECK(strstr(of_file("{a: 1}"), path));
	CHECK_INT(last_code, EXIT_FAILED);
	CHECK(strstr(of_file("{\"a\":[9007199254740991]}"), "too large"));
	CHECK(strstr(of_file("- a\n"), "it holds no object"));
	CHECK(strstr(of_file("hello"), "it holds no object"));
	CHECK(strstr(of_file(""), "there is nothing"));
	CHECK(strstr(of_file("{\"a\":1,\"a\":2}"), "at byte"));
	CHECK(strstr(of_file("a: 1\nb: no\n"), "in line 2"));
}

static void
a_file_that_is_none_is_told(void)
{
	begin();
	CHECK(strstr(read_body("/nowhere/at.all"), "No such file"));
	CHECK_INT(last_code, EXIT_FAILED);
	CHECK(strstr(read_body("/dev/zero"), "no regular file"));
	CHECK(strstr(read_body("/tmp"), "Is a directory"));
}

CHECK_MAIN(CHECK_ROW(a_file_is_json_or_yaml),
    CHECK_ROW(a_file_that_is_none_is_told))
