/*
 * test_identity: one agent a state directory, and no word is lost on the way
 * to it.
 */
#include "agent/identity.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/agent/rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

#define AGENTS "/api/v1/agents"
#define TOKEN "CERTCTL_AGENT_BOOTSTRAP_TOKEN=token"
#define FILE_NAME "state/identity.json"

static const char *const with_token[] = {TOKEN, NULL};
static struct agent *agent;
static int n_done;

static void
done(struct agent *a)
{
	n_done++;
}

static void
begin(const char *const *settings, int status, const char *body)
{
	bool is_registered = true;

	agent = rig_new(settings);
	agent->id[0] = agent->api_key[0] = '\0';
	n_done = 0;
	CHECK_INT(identity_load(agent, &is_registered), RC_OK);
	CHECK(!is_registered);
	rig_answer("POST", AGENTS, status, body, 0);
	identity_register(agent, done);
	rig_pass(10);
}

static void
a_registration_is_kept(void)
{
	bool is_registered = false;
	char key[sizeof(agent->api_key)];

	begin(with_token, 201, "{\"id\":\"a-7\"}");
	CHECK_INT(n_done, 1);
	CHECK_STR(agent->id, "a-7");
	CHECK_INT(strlen(agent->api_key), 64);
	CHECK_STR(rig_last("POST", AGENTS)->bearer, "token");
	CHECK(!strstr(rig_last("POST", AGENTS)->body, agent->api_key));
	CHECK_INT(sandbox_mode(FILE_NAME), 0600);
	memcpy(key, agent->api_key, sizeof(key));
	agent->id[0] = agent->api_key[0] = '\0';
	CHECK_INT(identity_load(agent, &is_registered), RC_OK);
	CHECK(is_registered);
	CHECK_STR(agent->id, "a-7");
	CHECK_STR(agent->api_key, key);
}

static void
doubt_registers_the_same_key_again(void)
{
	static const int doubts[] = {0, 401, 403, 408, 429, 500, 503};

	for (size_t i = 0; i < ARRAY_LEN(doubts); i++) {
		char body[1024];

		begin(with_token, doubts[i], "{}");
		snprintf(body, sizeof(body), "%s",
		    rig_last("POST", AGENTS)->body);
		rig_pass(60000);
		CHECK(rig_count("POST", AGENTS) >= 6);
		CHECK(rig_count("POST", AGENTS) <= 11);
		CHECK(!agent->is_stopping);
		CHECK_STR(rig_last("POST", AGENTS)->body, body);
		rig_answer("POST", AGENTS, 200, "{\"id\":\"a-8\"}", 0);
		rig_pass(40000);
		CHECK_INT(n_done, 1);
	}
}

static void
a_refusal_ends_with_status_1(void)
{
	static const struct {
		const char *const settings[2];
		int status;
		const char *body;
	} all[] = {
	    {{TOKEN}, 400, "{\"message\":\"bad name\"}"},
	    {{TOKEN}, 404, "<html>"},
	    {{TOKEN}, 409, "{}"},
	    {{TOKEN}, 302, ""},
	    {{TOKEN}, 200, "{}"},
	    {{TOKEN}, 200, "not JSON"},
	    {{TOKEN}, 201, "{\"id\":\"\"}"},
	    {{TOKEN}, 201, "{\"id\":5}"},
	    /* No token, and the server wants one. */
	    {{NULL}, 401, "{}"},
	    {{NULL}, 403, "{}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		begin(all[i].settings, all[i].status, all[i].body);
		rig_pass(60000);
		CHECK_INT(rig_count("POST", AGENTS), 1);
		CHECK_INT(n_done, 0);
		CHECK(agent->is_stopping);
		CHECK_INT(agent->exit_status, 1);
	}
}

static void
a_server_that_wants_no_token_gets_none(void)
{
	begin(NULL, 201, "{\"id\":\"a-9\"}");
	CHECK_INT(n_done, 1);
	CHECK_STR(rig_last("POST", AGENTS)->bearer, "");
}

static void
a_full_disk_keeps_the_key_for_the_next_start(void)
{
	bool is_registered = true;
	char key[sizeof(agent->api_key)];

	agent = rig_new(with_token);
	agent->id[0] = agent->api_key[0] = '\0';
	n_done = 0;
	CHECK_INT(identity_load(agent, &is_registered), RC_OK);
	memcpy(key, agent->api_key, sizeof(key));
	rig_answer("POST", AGENTS, 201, "{\"id\":\"a-7\"}", 0);
	identity_register(agent, done);
	sandbox_limit_writes(10);
	rig_pass(10);
	sandbox_limit_writes(0);
	CHECK_INT(n_done, 0);
	CHECK_INT(agent->exit_status, 1);
	CHECK_INT(identity_load(agent, &is_registered), RC_OK);
	CHECK(!is_registered);
	CHECK_STR(agent->api_key, key);
}

/* Registered, and the server has forgotten it. */
static void
lose(const char *const *settings, int status, const char *body)
{
	begin(with_token, 201, "{\"id\":\"a-7\"}");
	if (settings) {
		agent = rig_new(settings);
		snprintf(agent->id, sizeof(agent->id), "a-7");
	}
	rig_answer("POST", AGENTS, status, body, 0);
	identity_return(agent);
	rig_pass(10);
}

static void
an_agent_the_server_forgot_registers_the_same_key_again(void)
{
	char first[1024], key[sizeof(agent->api_key)];
	bool is_registered = false;

	begin(with_token, 201, "{\"id\":\"a-7\"}");
	snprintf(first, sizeof(first), "%s", rig_last("POST", AGENTS)->body);
	memcpy(key, agent->api_key, sizeof(key));
	rig_answer("POST", AGENTS, 201, "{\"id\":\"a-9\"}", 100);
	identity_return(agent);
	identity_return(agent);
	/* Whatever else is asked meanwhile is asked with its own key. */
	CHECK_STR(agent->api_key, key);
	rig_pass(200);
	CHECK_INT(rig_count("POST", AGENTS), 2);
	CHECK_STR(rig_last("POST", AGENTS)->body, first);
	CHECK_STR(rig_last("POST", AGENTS)->bearer, "token");
	CHECK_STR(agent->id, "a-9");
	CHECK_INT(n_done, 1);
	agent->id[0] = agent->api_key[0] = '\0';
	CHECK_INT(identity_load(agent, &is_registered), RC_OK);
	CHECK_STR(agent->id, "a-9");
	CHECK_STR(agent->api_key, key);
}

static void
a_return_that_is_refused_stops_nobody(void)
{
	static const int refusals[] = {0, 400, 401, 403, 404, 409, 500, 503};

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		lose(NULL, refusals[i], "{}");
		rig_pass(60000);
		CHECK_INT(rig_count("POST", AGENTS), 2);
		CHECK(!agent->is_stopping);
		CHECK(agent->told_unknown);
		CHECK_STR(agent->id, "a-7");
		rig_answer("POST", AGENTS, 200, "{\"id\":\"a-9\"}", 0);
		identity_return(agent);
		rig_pass(10);
		CHECK_STR(agent->id, "a-9");
		CHECK(!agent->told_unknown);
	}
}

static void
an_identity_of_the_configuration_is_not_replaced(void)
{
	static const char *const both[] = {"CERTCTL_AGENT_ID=a-7",
	    "CERTCTL_API_KEY=k", TOKEN, NULL};

	lose(both, 201, "{\"id\":\"a-9\"}");
	CHECK_INT(rig_count("POST", AGENTS), 0);
	CHECK_STR(agent->id, "a-7");
	CHECK(agent->told_unknown);
}

static void
a_file_that_is_not_an_identity_is_refused_and_kept(void)
{
	static const char *const bad[] = {"", "{}", "[]", "{\"api_key\":5}",
	    "{\"id\":\"a-1\"}", "text"};
	bool is_registered;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		agent = rig_new(with_token);
		sandbox_put(FILE_NAME, bad[i]);
		CHECK(identity_load(agent, &is_registered) != RC_OK);
		CHECK_STR(sandbox_get(FILE_NAME), bad[i]);
	}
	agent = rig_new(with_token);
	CHECK(symlink("/etc/passwd", sandbox_path(FILE_NAME)) == 0);
	CHECK_INT(identity_load(agent, &is_registered), RC_IO);
	/* A link to nothing is not a missing file either. */
	CHECK(unlink(sandbox_path(FILE_NAME)) == 0);
	CHECK(symlink("nowhere", sandbox_path(FILE_NAME)) == 0);
	CHECK_INT(identity_load(agent, &is_registered), RC_IO);
}

static void
half_an_identity_is_refused(void)
{
	static const char *const id[] = {"CERTCTL_AGENT_ID=a-1", NULL};
	static const char *const key[] = {"CERTCTL_API_KEY=k", NULL};
	static const char *const both[] = {"CERTCTL_AGENT_ID=a-2",
	    "CERTCTL_API_KEY=k", NULL};
	bool is_registered = false;

	CHECK_INT(identity_check(rig_new(id)), RC_INVALID);
	agent = rig_new(key);
	CHECK_INT(identity_load(agent, &is_registered), RC_INVALID);
	agent = rig_new(both);
	CHECK_INT(identity_load(agent, &is_registered), RC_OK);
	CHECK(is_registered);
	CHECK_STR(agent->id, "a-2");
	CHECK(!sandbox_has(FILE_NAME));
}

CHECK_MAIN(CHECK_ROW(a_registration_is_kept),
    CHECK_ROW(doubt_registers_the_same_key_again),
    CHECK_ROW(a_refusal_ends_with_status_1),
    CHECK_ROW(a_server_that_wants_no_token_gets_none),
    CHECK_ROW(a_full_disk_keeps_the_key_for_the_next_start),
    CHECK_ROW(an_agent_the_server_forgot_registers_the_same_key_again),
    CHECK_ROW(a_return_that_is_refused_stops_nobody),
    CHECK_ROW(an_identity_of_the_configuration_is_not_replaced),
    CHECK_ROW(a_file_that_is_not_an_identity_is_refused_and_kept),
    CHECK_ROW(half_an_identity_is_refused))
