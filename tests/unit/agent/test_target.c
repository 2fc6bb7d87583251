/*
 * test_target: what a target's configuration becomes.
 */
#include "agent/target.h"

#include <string.h>

#include "common/json/json.h"
#include "tests/unit/check.h"

static struct arena *a;

static const struct cJSON *
parsed(const char *text)
{
	const struct cJSON *o = NULL;
	const char *why = "";

	arena_free(a);
	a = arena_new();
	CHECK_INT(json_parse(a, text, strlen(text), &o, &why), RC_OK);
	return o;
}

static rc
command(const char *json, const char **argv, const char **why)
{
	const struct cJSON *o = parsed(json); /* makes the arena */

	*why = "";
	return target_command(a, o, "c", argv, why);
}

static void
string_is_split_at_blanks(void)
{
	const char *argv[TARGET_ARGS_MAX], *why;

	CHECK_INT(command("{\"c\": \" nginx  -s\\treload \"}", argv, &why),
	    RC_OK);
	CHECK_STR(argv[0], "nginx");
	CHECK_STR(argv[1], "-s");
	CHECK_STR(argv[2], "reload");
	CHECK(!argv[3]);
}

static void
string_with_shell_characters_is_refused(void)
{
	static const char *const bad[] = {"a;b", "a|b", "a&b", "a$b", "a(b",
	    "a)b", "a{b", "a}b", "a<b", "a>b", "a\\\\b", "a\\\"b", "a'b", "a`b",
	    "a\\nb", "a\\rb"};
	const char *argv[TARGET_ARGS_MAX], *why;
	char json[64];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(json, sizeof(json), "{\"c\": \"%s\"}", bad[i]);
		CHECK_INT(command(json, argv, &why), RC_INVALID);
		CHECK(strstr(why, "c is run without a shell"));
		CHECK(!argv[0]);
	}
}

static void
string_too_long_or_of_too_many_words_is_refused(void)
{
	const char *argv[TARGET_ARGS_MAX], *why;
	char json[2100];
	size_t n;

	n = (size_t)snprintf(json, sizeof(json), "{\"c\": \"");
	memset(json + n, 'x', 1025);
	snprintf(json + n + 1025, sizeof(json) - n - 1025, "\"}");
	CHECK_INT(command(json, argv, &why), RC_INVALID);
	n = (size_t)snprintf(json, sizeof(json), "{\"c\": \"");
	for (int i = 0; i < TARGET_ARGS_MAX; i++)
		n += (size_t)snprintf(json + n, sizeof(json) - n, "w ");
	snprintf(json + n, sizeof(json) - n, "\"}");
	CHECK_INT(command(json, argv, &why), RC_INVALID);
	CHECK(strstr(why, "more than"));
	CHECK(!argv[0]);
}

static void
array_is_taken_as_it_is(void)
{
	const char *argv[TARGET_ARGS_MAX], *why;

	CHECK_INT(command("{\"c\": [\"sh\", \"-c\", \"a; b | c\"]}", argv,
		      &why),
	    RC_OK);
	CHECK_STR(argv[0], "sh");
	CHECK_STR(argv[2], "a; b | c");
	CHECK(!argv[3]);
}

static void
array_of_other_things_is_refused(void)
{
	static const char *const bad[] = {"{\"c\": []}", "{\"c\": [1]}",
	    "{\"c\": [\"a\", null]}", "{\"c\": {}}", "{\"c\": 1}",
	    "{\"c\": [\"\"]}", "{\"c\": true}"};
	const char *argv[TARGET_ARGS_MAX], *why;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(command(bad[i], argv, &why), RC_INVALID);
		CHECK(strstr(why, "c is neither"));
	}
}

static void
nothing_is_not_found(void)
{
	const char *argv[TARGET_ARGS_MAX], *why;

	CHECK_INT(command("{}", argv, &why), RC_NOT_FOUND);
	CHECK_INT(command("{\"c\": null}", argv, &why), RC_NOT_FOUND);
	CHECK_INT(command("{\"c\": \"\"}", argv, &why), RC_NOT_FOUND);
	CHECK_INT(command("{\"c\": \"  \"}", argv, &why), RC_NOT_FOUND);
}

static void
kinds_are_found_by_their_spelling(void)
{
	CHECK(target_find("NGINX") == &target_nginx);
	CHECK(!target_find("nginx"));
	CHECK(!target_find(""));
	CHECK(!target_find("F5"));
}

static rc
plan(const char *json, struct target_plan *p, const char **why)
{
	const struct cJSON *o = parsed(json);

	*why = "";
	return target_nginx.plan(a, o, p, why);
}

static void
nginx_has_defaults(void)
{
	struct target_plan p;
	const char *why;

	CHECK_INT(plan("{\"cert_path\": \"/c\", \"key_path\": \"/k\"}", &p,
		      &why),
	    RC_OK);
	CHECK_STR(p.cert_path, "/c");
	CHECK_STR(p.key_path, "/k");
	CHECK(!p.chain_path);
	CHECK_STR(p.test_argv[0], "nginx");
	CHECK_STR(p.test_argv[1], "-t");
	CHECK(!p.test_argv[2]);
	CHECK_STR(p.reload_argv[1], "-s");
	CHECK_STR(p.reload_argv[2], "reload");
	CHECK(!p.reload_argv[3]);
	CHECK(!p.host);
	CHECK_INT(p.port, 443);
	CHECK(!p.server_name);
	CHECK_INT(p.cert.mode, -1);
	CHECK_INT(p.key.mode, -1);
	CHECK(!p.key.owner);
}

static void
nginx_takes_what_is_given(void)
{
	struct target_plan p;
	const char *why;

	CHECK_INT(plan("{\"cert_path\": \"/c\", \"key_path\": \"/k\","
		       "\"chain_path\": \"/h\", \"key_file_mode\": 416,"
		       "\"key_file_owner\": \"root\","
		       "\"chain_file_group\": \"33\", \"cert_file_owner\": "
		       "\"\","
		       "\"validate_command\": \"true x\","
		       "\"reload_command\": [\"true\"], \"hostname\": \"h\","
		       "\"port\": 8443, \"server_name\": \"s\"}",
		      &p, &why),
	    RC_OK);
	CHECK_STR(p.chain_path, "/h");
	CHECK_STR(p.test_argv[1], "x");
	CHECK_STR(p.reload_argv[0], "true");
	CHECK(!p.reload_argv[1]);
	CHECK_STR(p.host, "h");
	CHECK_INT(p.port, 8443);
	CHECK_STR(p.server_name, "s");
	CHECK_INT(p.key.mode, 0640);
	CHECK_STR(p.key.owner, "root");
	CHECK_STR(p.chain.group, "33");
	CHECK(!p.cert.owner);
}

static void
nginx_names_where_to_look(void)
{
	static const char *const names[] = {"host", "hostname", "target",
	    "address"};
	struct target_plan p;
	char json[128];
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(json, sizeof(json),
		    "{\"cert_path\": \"/c\", \"key_path\": \"/k\", "
		    "\"%s\": \"h\"}",
		    names[i]);
		CHECK_INT(plan(json, &p, &why), RC_OK);
		CHECK_STR(p.host, "h");
	}
	CHECK_INT(plan("{\"cert_path\": \"/c\", \"key_path\": \"/k\", "
		       "\"host\": \"\"}",
		      &p, &why),
	    RC_OK);
	CHECK(!p.host);
}

static void
nginx_says_what_is_wrong(void)
{
	static const struct {
		const char *json, *why;
	} bad[] = {
	    {"{\"key_path\": \"/k\"}", "cert_path is missing"},
	    {"{\"cert_path\": \"/c\"}", "key_path is missing"},
	    {"{\"cert_path\": \"c\", \"key_path\": \"/k\"}", "not an absolute"},
	    {"{\"cert_path\": 1, \"key_path\": \"/k\"}", "not an absolute"},
	    {"{\"cert_path\": \"/c\", \"key_path\": \"/k\", "
	     "\"key_file_mode\": 7}",
		"not a file mode"},
	    {"{\"cert_path\": \"/c\", \"key_path\": \"/k\", "
	     "\"cert_file_mode\": \"0644\"}",
		"not a file mode"},
	    {"{\"cert_path\": \"/c\", \"key_path\": \"/k\", "
	     "\"reload_command\": \"a; b\"}",
		"without a shell"},
	    {"{\"cert_path\": \"/c\", \"key_path\": \"/k\", "
	     "\"validate_command\": {}}",
		"neither"},
	};
	struct target_plan p;
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(plan(bad[i].json, &p, &why), RC_INVALID);
		CHECK(strstr(why, bad[i].why));
	}
	arena_free(a);
	a = NULL;
}

CHECK_MAIN(CHECK_ROW(string_is_split_at_blanks),
    CHECK_ROW(string_with_shell_characters_is_refused),
    CHECK_ROW(string_too_long_or_of_too_many_words_is_refused),
    CHECK_ROW(array_is_taken_as_it_is),
    CHECK_ROW(array_of_other_things_is_refused),
    CHECK_ROW(nothing_is_not_found),
    CHECK_ROW(kinds_are_found_by_their_spelling), CHECK_ROW(nginx_has_defaults),
    CHECK_ROW(nginx_takes_what_is_given), CHECK_ROW(nginx_names_where_to_look),
    CHECK_ROW(nginx_says_what_is_wrong))
