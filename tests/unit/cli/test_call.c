/*
 * test_call: what a row says is what is sent, and shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

static void
a_path_has_its_words_and_its_query(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/jobs", 200, "{\"data\":[{\"id\":\"a\"}]}");
	CHECK_INT(scripted_run("jobs list --status failed --target-id a&b "
			       "--page 2"),
	    EXIT_DONE);
	CHECK_STR(scripted_asked(0),
	    "GET /api/v1/jobs?status=Failed&target_id=a%26b&page=2");
	scripted_answer("DELETE /api/v1/agent-groups", 204, "");
	CHECK_INT(scripted_run("agent-groups remove g/1 a"), EXIT_DONE);
	CHECK_STR(scripted_asked(1),
	    "DELETE /api/v1/agent-groups/g%2F1/members/a");
	CHECK_STR(captured_out(), "a is named no more\n");
	CHECK_INT(scripted_run_json("agent-groups remove g a"), EXIT_DONE);
	CHECK_STR(captured_out(), "{}\n");
}

static void
values_stand_in_the_body_as_what_they_are(void)
{
	scripted_begin();
	scripted_answer("POST /api/v1", 201, "{\"id\":\"x\"}");
	CHECK_INT(scripted_run("network-scans create lab --cidrs "
			       "192.0.2.0/30,192.0.2.9 --ports 443,8443 "
			       "--enabled false --timeout-ms 500"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"cidrs\":[\"192.0.2.0/30\",\"192.0.2.9\"],"
	    "\"ports\":[443,8443],\"timeout_ms\":500,\"enabled\":false,"
	    "\"name\":\"lab\"}");
	CHECK_INT(scripted_run("profiles create p --issuer-id=- "
			       "--acme-eab-required server "
			       "--acme-orders-per-hour 5"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"issuer_id\":null,\"acme_eab_required\":null,"
	    "\"acme_limits\":{\"orders_per_hour\":5},\"name\":\"p\"}");
	CHECK_INT(scripted_run("profiles create p --acme-server-limits"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"acme_limits\":{},\"name\":\"p\"}");
	CHECK_INT(scripted_run("intermediates create i ca --parent-ca-id p "
			       "--common-name CA --country DE "
			       "--metadata a=b,c=d=e"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"parent_ca_id\":\"p\",\"subject\":{\"common_name\":\"CA\","
	    "\"country\":[\"DE\"]},\"metadata\":{\"a\":\"b\",\"c\":\"d=e\"},"
	    "\"name\":\"ca\"}");
}

static void
a_value_that_is_none_is_refused(void)
{
	static const char *const lines[] =
	    {"network-scans create l --cidrs a --ports 1,x",
		"intermediates create i c --parent-ca-id p --common-name n "
		"--metadata a",
		"issuers create i --type ACME --config {",
		"intermediates register i r --root-cert /no/such",
		"teams create t --set x", "teams create t --set =x",
		"teams create t -f /no/such", "teams update t"};

	scripted_begin();
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		int exit_code = scripted_run(lines[i]);

		CHECK(exit_code == EXIT_USAGE || exit_code == EXIT_FAILED);
		CHECK(captured_err()[0] != '\0');
	}
	CHECK(!scripted_asked(0));
}

/* What is there stays: the object is read before a part of it is set. */
static void
a_set_into_an_object_keeps_the_rest(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/targets/t", 200,
	    "{\"id\":\"t\",\"config\":{\"port\":1,\"host\":\"h\"}}");
	scripted_answer("PUT /api/v1/targets/t", 200, "{\"id\":\"t\"}");
	CHECK_INT(scripted_run("targets update t --set config.port=443"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"config\":{\"host\":\"h\",\"port\":443}}");
	CHECK_INT(scripted_run("targets update t --set enabled=true"),
	    EXIT_DONE);
	CHECK_INT(scripted_count("GET"), 1);
	CHECK_INT(scripted_run("targets update t --set config.a\\.b=1.10 "
			       "--set config.c:=1.10 --set name=7"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"config\":{\"port\":1,\"host\":\"h\",\"a.b\":\"1.10\","
	    "\"c\":1.1},\"name\":\"7\"}");
}

static void
a_dry_run_sends_nothing(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/teams/t", 200, "{\"id\":\"t\"}");
	CHECK_INT(scripted_run("teams delete t --dry-run"), EXIT_DONE);
	CHECK_STR(captured_out(), "DELETE https://x/api/v1/teams/t\n");
	CHECK(strstr(captured_err(), "nothing was sent"));
	CHECK_INT(scripted_run_json("teams create t --dry-run"), EXIT_DONE);
	CHECK_STR(captured_out(),
	    "{\"dry_run\":true,\"method\":\"POST\",\"path\":\"/api/v1/teams\","
	    "\"body\":{\"name\":\"t\"}}\n");
	CHECK_INT((int)scripted_count("GET"), 1);
	CHECK(!scripted_asked(1));
}

/* It is the call that would be made. */
static void
a_dry_run_shows_ids_in_the_place_of_names(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/teams/blue", 404, "{}");
	scripted_answer("GET /api/v1/teams?q=blue", 200,
	    "{\"data\":[{\"id\":\"t-1\",\"name\":\"blue\"}]}");
	CHECK_INT(scripted_run("teams delete blue --dry-run"), EXIT_DONE);
	CHECK_STR(captured_out(), "DELETE https://x/api/v1/teams/t-1\n");
	CHECK_INT(scripted_run_json(
		      "owners create ann --team-id blue --dry-run"),
	    EXIT_DONE);
	CHECK(strstr(captured_out(), "\"team_id\":\"t-1\""));
	CHECK_INT(scripted_run_json(
		      "owners create ann --set team_id=blue --dry-run"),
	    EXIT_DONE);
	CHECK(strstr(captured_out(), "\"team_id\":\"t-1\""));
	CHECK_INT((int)(scripted_count("POST") + scripted_count("DELETE")), 0);
	/* What the call would be refused for, it is too. */
	scripted_begin();
	scripted_answer("GET /api/v1/teams/blue", 404, "{}");
	scripted_answer("GET /api/v1/teams?q=blue", 200,
	    "{\"data\":[{\"id\":\"t-1\",\"name\":\"blue\"},"
	    "{\"id\":\"t-2\",\"name\":\"blue\"}]}");
	CHECK_INT(scripted_run("teams delete blue --dry-run"), EXIT_USAGE);
	/* Where nobody answers it is as it was given. */
	scripted_begin();
	scripted_answer("GET /api/v1/teams/blue", 0, "");
	CHECK_INT(scripted_run("teams delete blue --dry-run"), EXIT_DONE);
	CHECK_STR(captured_out(), "DELETE https://x/api/v1/teams/blue\n");
}

/* By whatever it came. */
static void
a_dry_run_shows_no_secret(void)
{
	static const char *const lines[] =
	    {"auth bootstrap ann --set token:=\"s3cret\"",
		"issuers create i --type ACME --config "
		"{\"eab_hmac\":\"s3cret\",\"eab_kid\":\"k-1\"}",
		"issuers create i --set config.token=s3cret --set "
		"config.eab_kid=k-1",
		"issuers create i --set config:={\"a\":[{\"password\":"
		"[\"s3cret\"]}],\"eab_kid\":\"k-1\"}",
		"targets create t --set config.api_key=s3cret",
		"agents create a --hostname h --api-key-hash s3cret"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		char line[256];

		scripted_begin();
		(void)snprintf(line, sizeof(line), "%s --dry-run", lines[i]);
		CHECK_INT(scripted_run(line), EXIT_DONE);
		CHECK(!strstr(captured_out(), "s3cret"));
		CHECK(strstr(captured_out(), "\"***\""));
		CHECK(
		    !strstr(lines[i], "k-1") || strstr(captured_out(), "k-1"));
		CHECK_INT(scripted_run_json(line), EXIT_DONE);
		CHECK(!strstr(captured_out(), "s3cret"));
	}
}

static void
what_cannot_be_undone_is_asked_about(void)
{
	scripted_begin();
	CHECK_INT(scripted_run("teams delete t"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "team t will be deleted.\n"));
	CHECK(!scripted_asked(0));
	scripted_answer("DELETE /api/v1/teams/t", 204, "");
	CHECK_INT(scripted_run("teams delete t --yes"), EXIT_DONE);
}

static void
a_name_stands_for_its_id(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/teams/blue", 404, "{\"message\":\"no\"}");
	scripted_answer("GET /api/v1/teams?q=blue", 200,
	    "{\"data\":[{\"id\":\"t-1\",\"name\":\"blue\"},"
	    "{\"id\":\"t-2\",\"name\":\"bluebell\"}]}");
	scripted_answer("GET /api/v1/teams/t-1", 200, "{\"id\":\"t-1\"}");
	CHECK_INT(scripted_run("teams get blue"), EXIT_DONE);
	CHECK(strstr(captured_out(), "t-1"));
	scripted_begin();
	scripted_answer("GET /api/v1/teams/blue", 404, "{\"message\":\"no\"}");
	scripted_answer("GET /api/v1/teams?q=blue", 200,
	    "{\"data\":[{\"id\":\"t-1\",\"name\":\"blue\"},"
	    "{\"id\":\"t-2\",\"name\":\"blue\"}]}");
	CHECK_INT(scripted_run("teams get blue"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "one of t-1, t-2"));
	scripted_begin();
	scripted_answer("GET /api/v1/teams/blue", 404, "{\"message\":\"no\"}");
	scripted_answer("GET /api/v1/teams?q=blue", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run("teams get blue"), EXIT_NOT_FOUND);
	CHECK(strstr(captured_err(), "no (404)"));
	/* A list by a name is empty, and then it is not. */
	scripted_begin();
	scripted_answer("GET /api/v1/owners?team_id=blue", 200,
	    "{\"data\":[]}");
	scripted_answer("GET /api/v1/teams?q=blue", 200,
	    "{\"data\":[{\"id\":\"t-1\",\"name\":\"blue\"}]}");
	scripted_answer("GET /api/v1/teams/blue", 404, "{}");
	scripted_answer("GET /api/v1/owners?team_id=t-1", 200,
	    "{\"data\":[{\"id\":\"o-1\"}]}");
	CHECK_INT(scripted_run("owners list --team-id blue"), EXIT_DONE);
	CHECK(strstr(captured_out(), "o-1"));
	/* It may stand behind many that have it in theirs. */
	scripted_begin();
	scripted_answer("GET /api/v1/teams/blue", 404, "{}");
	scripted_answer("GET /api/v1/teams?q=blue&per_page=500&cursor=begin",
	    200,
	    "{\"data\":[{\"id\":\"t-1\",\"name\":\"a blue\"}],"
	    "\"next_cursor\":\"n\"}");
	scripted_answer("GET /api/v1/teams?q=blue&per_page=500&cursor=n", 200,
	    "{\"data\":[{\"id\":\"t-2\",\"name\":\"blue\"}]}");
	scripted_answer("GET /api/v1/teams/t-2", 200, "{\"id\":\"t-2\"}");
	CHECK_INT(scripted_run("teams get blue"), EXIT_DONE);
}

/* What is refused of an object is not done to another, whose name is its id;
 * and what there is none of is not shown of that other. */
static void
no_name_takes_the_place_of_an_id(void)
{
	scripted_begin();
	scripted_answer("DELETE /api/v1/teams/blue", 409,
	    "{\"message\":\"owners are in it\"}");
	scripted_answer("GET /api/v1/teams?q=blue", 200,
	    "{\"data\":[{\"id\":\"t-1\",\"name\":\"blue\"}]}");
	scripted_answer_times("GET /api/v1/teams/blue", 200,
	    "{\"id\":\"blue\"}", 1);
	CHECK_INT(scripted_run("teams delete blue --yes"), EXIT_CONFLICT);
	CHECK(strstr(captured_err(), "owners are in it"));
	/* Nor where nobody says whether it is one. */
	scripted_answer("GET /api/v1/teams/blue", 503, "{}");
	CHECK_INT(scripted_run("teams delete blue --yes"), EXIT_CONFLICT);
	CHECK_INT(scripted_count("DELETE"), 2);
	scripted_begin();
	scripted_answer("GET /api/v1/jobs", 200, "{\"data\":[]}");
	scripted_answer("GET /api/v1/agents?name=agent-1", 200,
	    "{\"data\":[{\"id\":\"agent-2\",\"name\":\"agent-1\"}]}");
	scripted_answer("GET /api/v1/agents/agent-1", 200,
	    "{\"id\":\"agent-1\"}");
	CHECK_INT(scripted_run("jobs list --agent-id agent-1"), EXIT_DONE);
	CHECK_INT(scripted_count("GET /api/v1/jobs"), 1);
}

/* Of one option, of --set, of lists; each name is looked up once. */
static void
names_of_a_body_are_ids_too(void)
{
	scripted_begin();
	scripted_answer_times("PUT /api/v1/targets/web", 404, "{}", 1);
	scripted_answer("GET /api/v1/targets?q=web", 200,
	    "{\"data\":[{\"id\":\"tgt-1\",\"name\":\"web\"}]}");
	scripted_answer("GET /api/v1/targets/web", 404, "{}");
	scripted_answer("GET /api/v1/agents?name=h1", 200,
	    "{\"data\":[{\"id\":\"agent-1\",\"name\":\"h1\"}]}");
	scripted_answer("GET /api/v1/agents/h1", 404, "{}");
	scripted_answer("PUT /api/v1/targets/tgt-1", 200, "{\"id\":\"tgt-1\"}");
	CHECK_INT(scripted_run("targets update web --set agent_id=h1"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"agent_id\":\"agent-1\"}");
	scripted_begin();
	scripted_answer_times("POST /api/v1/certificates", 400, "{}", 1);
	scripted_answer("GET /api/v1/owners?q=ann", 200,
	    "{\"data\":[{\"id\":\"o-1\",\"name\":\"ann\"}]}");
	scripted_answer("GET /api/v1/owners/ann", 404, "{}");
	scripted_answer("GET /api/v1/teams?q=t-1", 200, "{\"data\":[]}");
	scripted_answer("GET /api/v1/issuers?q=ca", 200,
	    "{\"data\":[{\"id\":\"iss-1\",\"name\":\"ca\"}]}");
	scripted_answer("GET /api/v1/issuers/ca", 404, "{}");
	scripted_answer("GET /api/v1/renewal-policies?q=rp", 200,
	    "{\"data\":[]}");
	scripted_answer("GET /api/v1/targets?q=a", 200,
	    "{\"data\":[{\"id\":\"tgt-1\",\"name\":\"a\"}]}");
	scripted_answer("GET /api/v1/targets/a", 404, "{}");
	scripted_answer("GET /api/v1/targets?q=tgt-2", 200, "{\"data\":[]}");
	scripted_answer("POST /api/v1/certificates", 201, "{\"id\":\"mc\"}");
	CHECK_INT(scripted_run("certs create x --common-name x --owner-id ann "
			       "--team-id t-1 --issuer-id ca "
			       "--renewal-policy-id rp --target-ids a,tgt-2"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"common_name\":\"x\",\"owner_id\":\"o-1\","
	    "\"team_id\":\"t-1\",\"issuer_id\":\"iss-1\","
	    "\"renewal_policy_id\":\"rp\",\"target_ids\":[\"tgt-1\","
	    "\"tgt-2\"],\"name\":\"x\"}");
	CHECK_INT((int)scripted_count("GET /api/v1/owners?q=ann"), 1);
	/* a role, of a list in one answer, in the word that ends the call */
	scripted_begin();
	scripted_answer_times("POST /api/v1/auth/keys/k/roles", 404, "{}", 1);
	scripted_answer("GET /api/v1/auth/roles/looker", 404, "{}");
	scripted_answer("GET /api/v1/auth/roles", 200,
	    "{\"roles\":[{\"id\":\"r-1\",\"name\":\"looker\"}]}");
	scripted_answer("POST /api/v1/auth/keys/k/roles", 201, "{}");
	CHECK_INT(scripted_run("api-keys grant k looker"), EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"role_id\":\"r-1\"}");
}

/* What can be no id is one that is not found. */
static void
a_name_that_nothing_has_is_not_found(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/teams/b%2Fc", 400, "{}");
	scripted_answer("GET /api/v1/teams?q=b%2Fc", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run("teams get b/c"), EXIT_NOT_FOUND);
	CHECK(strstr(captured_err(), "none of the teams has the name \"b/c\""));
	scripted_begin();
	scripted_answer("GET /api/v1/teams/b%2Fc", 400, "{}");
	scripted_answer("GET /api/v1/teams?q=b%2Fc", 403, "{}");
	CHECK_INT(scripted_run("teams get b/c"), EXIT_FAILED);
}

/* One that is no more is among the retired. */
static void
an_agent_is_found_by_its_whole_name(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/agents/h1", 404, "{}");
	scripted_answer("GET /api/v1/agents?name=h1&per_page=500", 200,
	    "{\"data\":[{\"id\":\"agent-2\",\"name\":\"h2\"}]}");
	scripted_answer("GET /api/v1/agents/retired?name=h1", 200,
	    "{\"data\":[{\"id\":\"agent-1\",\"name\":\"h1\"}]}");
	scripted_answer("GET /api/v1/agents/agent-1", 200,
	    "{\"id\":\"agent-1\"}");
	CHECK_INT(scripted_run("agents get h1"), EXIT_DONE);
	CHECK(strstr(captured_out(), "agent-1") != NULL);
}

static void
pages_are_one_list(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/teams?per_page=3&cursor=begin", 200,
	    "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"total\":4,"
	    "\"next_cursor\":\"n\"}");
	scripted_answer("GET /api/v1/teams?per_page=3&cursor=n", 200,
	    "{\"data\":[{\"id\":\"c\"},{\"id\":\"d\"}],"
	    "\"next_cursor\":\"m\"}");
	CHECK_INT(scripted_run_json("teams list --limit 3"), EXIT_DONE);
	CHECK_STR(captured_out(),
	    "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}],"
	    "\"total\":4}\n");
	CHECK_INT(scripted_run("teams list --limit 3"), EXIT_DONE);
	CHECK(strstr(captured_out(), "\n3 of 4\n"));
	CHECK_INT(scripted_run("teams list --limit 3 --page 1"), EXIT_USAGE);
	CHECK_INT(scripted_run("teams list --limit 3 --all"), EXIT_USAGE);
}

/* Of how many is what the server says, unless all were seen, or only we know
 * which of them are wanted. */
static void
a_list_says_of_how_many_it_is(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/teams?per_page=3&cursor=begin", 200,
	    "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"total\":2}");
	CHECK_INT(scripted_run("teams list --limit 3"), EXIT_DONE);
	CHECK(strstr(captured_out(), "\n2 in all\n"));
	scripted_begin();
	scripted_answer("GET /api/v1/teams?per_page=500&cursor=begin", 200,
	    "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"total\":900,"
	    "\"next_cursor\":\"n\"}");
	CHECK_INT(scripted_run_json("teams list --limit 1 --filter id=b"),
	    EXIT_DONE);
	CHECK_STR(captured_out(), "{\"data\":[{\"id\":\"b\"}]}\n");
	scripted_begin();
	scripted_answer("GET /api/v1/teams", 200,
	    "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"total\":7}");
	CHECK_INT(scripted_run("teams list --per-page 2"), EXIT_DONE);
	CHECK(strstr(captured_out(), "\n2 of 7\n"));
}

/* The API passes over what it does not know. */
static void
a_member_that_there_is_none_of_is_refused(void)
{
	static const struct {
		const char *line, *says;
	} wrong[] = {
	    {"certs update shop --set foo=1",
		"certs update has no member \"foo\"\n"},
	    {"certs update shop --set foo.bar=1", "no member \"foo\""},
	    {"teams create T --set nme=x",
		"no member \"nme\"; did you mean \"name\"?"},
	    {"teams create T --set nme=x",
		"its members: name, id, description\n"},
	    {"teams create T --set created_at=x", "\"created_at\""},
	    {"teams create a --set name=b",
		"name is given twice: as NAME and by --set"},
	    {"teams create a --description b --set description=c",
		"description is given twice: as --description and by --set"},
	    {"profiles update p --set acme_limit.orders_per_hour=1",
		"did you mean \"acme_limits\"?"},
	};

	scripted_begin();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		CHECK_INT(scripted_run(wrong[i].line), EXIT_USAGE);
		CHECK(strstr(captured_err(), wrong[i].says) != NULL);
	}
	CHECK(!scripted_asked(0));
}

/* What stands in an object is the API's to judge. */
static void
members_of_objects_are_free(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/targets/t", 200, "{\"id\":\"t\"}");
	scripted_answer("PUT /api/v1/targets/t", 200, "{\"id\":\"t\"}");
	CHECK_INT(scripted_run("targets update t --set config.odd=1"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"config\":{\"odd\":1}}");
	CHECK_INT(scripted_run("targets update t --config {} --set name=n"),
	    EXIT_DONE);
}

/* The text as a file, and the line with its name at the end. */
static int
run_with_file(const char *line, const char *text)
{
	char path[] = "/tmp/test_call.XXXXXX", all[256];
	int fd = mkstemp(path), exit_code;

	CHECK(
	    fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	(void)close(fd);
	(void)snprintf(all, sizeof(all), "%s --file %s", line, path);
	exit_code = scripted_run(all);
	(void)unlink(path);
	return exit_code;
}

/* So that what get printed can be sent. */
static void
a_file_may_hold_the_word_and_what_only_answers_have(void)
{
	scripted_begin();
	scripted_answer("POST /api/v1/teams", 201, "{\"id\":\"t\"}");
	CHECK_INT(run_with_file("teams create",
		      "name: blue\ndescription: d\ncreated_at: x\n"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"name\":\"blue\",\"description\":\"d\"}");
	CHECK(strstr(captured_err(),
	    "not sent, because only answers have it: created_at"));
	CHECK_INT(run_with_file("teams create w", "name: blue\n"), EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"name\":\"w\"}");
	CHECK_STR(captured_err(), "");
	CHECK_INT(scripted_run("teams create --set name=s"), EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"name\":\"s\"}");
	CHECK_INT((int)scripted_count("POST"), 3);
	CHECK_INT(run_with_file("teams create", "description: d\n"),
	    EXIT_USAGE);
	CHECK(strstr(captured_err(),
	    "NAME is missing: give it, or name by --file or --set"));
	CHECK_INT(run_with_file("teams create t", "descripton: d\n"),
	    EXIT_USAGE);
	CHECK(strstr(captured_err(), "did you mean \"description\"?"));
	CHECK_INT(scripted_run("teams create --description d"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "1 word is missing: NAME"));
	CHECK_INT((int)scripted_count("POST"), 3);
}

static void
what_cannot_do_is_told_before_anything_is_asked(void)
{
	static const struct {
		const char *line, *says;
	} wrong[] = {
	    {"certs list --expires-before tomorrow",
		"--expires-before takes a time, as 2026-12-31T12:00:00Z, or a "
		"date, not \"tomorrow\""},
	    {"certs list --filter expires-before=2026-02-30", "takes a time"},
	    {"certs list --created-after 2026-01-01T00:00:60Z", "takes a time"},
	    {"audit list --since 5m", "takes a time"},
	    {"agents retire a --force", "--force needs --reason beside it"},
	    {"targets create t --type NGINX --agent-id a",
		"--config is required"},
	    {"replace --issuer x --to x", "are the same"},
	    {"certs", "a verb is missing behind \"certs\""},
	    {"certs", "certs has: "},
	};

	scripted_begin();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		CHECK_INT(scripted_run(wrong[i].line), EXIT_USAGE);
		CHECK(strstr(captured_err(), wrong[i].says) != NULL);
	}
	CHECK(!scripted_asked(0));
	scripted_answer("GET /api/v1/certificates", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run("certs list --expires-before 2026-12-31"),
	    EXIT_DONE);
	CHECK_STR(scripted_asked(0), "GET /api/v1/certificates?expires_before="
				     "2026-12-31T00%3A00%3A00Z");
}

/* What is not all of it is not shown as if it were. */
static void
a_list_that_does_not_go_on_is_no_list(void)
{
	static const char *const odd[] =
	    {"{\"data\":[{\"id\":\"a\"}],\"next_cursor\":\"n\"}",
		"{\"data\":[{\"id\":\"a\"}],\"next_cursor\":7}",
		"{\"data\":[],\"next_cursor\":\"n\"}"};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		scripted_begin();
		scripted_answer("GET /api/v1/teams", 200, odd[i]);
		CHECK_INT(scripted_run("teams list --all"), EXIT_FAILED);
		CHECK(strstr(captured_err(), "where its list goes on"));
		CHECK_STR(captured_out(), "");
	}
}

/* The API gives it the status at once that it has when it reports. */
static void
an_agent_that_was_only_entered_is_not_online(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/agents", 200,
	    "{\"data\":[{\"id\":\"a\",\"status\":\"Online\","
	    "\"registered_at\":\"2026-01-01T00:00:00Z\","
	    "\"last_heartbeat_at\":\"2026-01-01T00:00:00Z\"}]}");
	CHECK_INT(scripted_run("agents list"), EXIT_DONE);
	CHECK(strstr(captured_out(), "not reported yet"));
	CHECK(!strstr(captured_out(), "Online"));
	scripted_begin();
	scripted_answer("GET /api/v1/agents/a", 200,
	    "{\"id\":\"a\",\"status\":\"Online\","
	    "\"registered_at\":\"2026-01-01T00:00:00Z\","
	    "\"last_heartbeat_at\":\"2026-01-01T00:00:00Z\"}");
	CHECK_INT(scripted_run("agents get a"), EXIT_DONE);
	CHECK(strstr(captured_out(),
	    "not reported yet: start certctl-agent on its host"));
	scripted_begin();
	scripted_answer("GET /api/v1/agents", 200,
	    "{\"data\":[{\"id\":\"a\",\"status\":\"Online\","
	    "\"registered_at\":\"2026-01-01T00:00:00Z\","
	    "\"last_heartbeat_at\":\"2026-01-01T00:00:00.1Z\"}]}");
	CHECK_INT(scripted_run("agents list"), EXIT_DONE);
	CHECK(strstr(captured_out(), "Online"));
}

CHECK_MAIN(CHECK_ROW(a_path_has_its_words_and_its_query),
    CHECK_ROW(values_stand_in_the_body_as_what_they_are),
    CHECK_ROW(a_value_that_is_none_is_refused),
    CHECK_ROW(a_member_that_there_is_none_of_is_refused),
    CHECK_ROW(members_of_objects_are_free),
    CHECK_ROW(a_file_may_hold_the_word_and_what_only_answers_have),
    CHECK_ROW(what_cannot_do_is_told_before_anything_is_asked),
    CHECK_ROW(a_list_says_of_how_many_it_is),
    CHECK_ROW(a_set_into_an_object_keeps_the_rest),
    CHECK_ROW(a_dry_run_sends_nothing),
    CHECK_ROW(a_dry_run_shows_ids_in_the_place_of_names),
    CHECK_ROW(a_dry_run_shows_no_secret),
    CHECK_ROW(what_cannot_be_undone_is_asked_about),
    CHECK_ROW(a_name_stands_for_its_id),
    CHECK_ROW(no_name_takes_the_place_of_an_id),
    CHECK_ROW(names_of_a_body_are_ids_too),
    CHECK_ROW(a_name_that_nothing_has_is_not_found),
    CHECK_ROW(an_agent_is_found_by_its_whole_name),
    CHECK_ROW(pages_are_one_list),
    CHECK_ROW(a_list_that_does_not_go_on_is_no_list),
    CHECK_ROW(an_agent_that_was_only_entered_is_not_online))
