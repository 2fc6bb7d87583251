/*
 * test_allow: a target writes and runs only what its host allows.
 */
#include "agent/allow.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json/json.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static const char *const by_default[] = {ALLOW_DEFAULT, NULL};
static const char *const nothing[] = {NULL};
static const char *own[4];
static const char *dirs[3];
static const char *commands[4];
static const char *kind_dirs[2];
static const char *kind_commands[2];
static struct target_kind kind = {.type = "TEST"};
static struct target_plan plan;
static struct allow allow;
static struct arena *a;
static const char *why;

/* <sandbox>/in is allowed, <sandbox>/out is not, <sandbox>/own is the
 * agent's. */
static void
begin(void)
{
	a = sandbox_new();
	CHECK(mkdir(sandbox_path("in"), 0755) == 0);
	CHECK(mkdir(sandbox_path("in/site"), 0755) == 0);
	CHECK(mkdir(sandbox_path("inevil"), 0755) == 0);
	CHECK(mkdir(sandbox_path("out"), 0755) == 0);
	dirs[0] = sandbox_path("in");
	dirs[1] = NULL;
	own[0] = sandbox_path("in/own");
	commands[0] = NULL;
	kind_dirs[0] = kind_commands[0] = NULL;
	kind.dirs = kind_dirs;
	kind.commands = kind_commands;
	allow = (struct allow){dirs, commands, own};
	memset(&plan, 0, sizeof(plan));
	plan.cert_path = sandbox_path("in/site/cert.pem");
	plan.key_path = sandbox_path("in/site/key.pem");
	why = "";
}

static rc
ask(void)
{
	return allow_plan(a, &allow, &kind, &plan, &why);
}

static rc
ask_path(const char *path)
{
	plan.cert_path = path;
	return ask();
}

static rc
ask_command(const char *listed, const char *json)
{
	const struct cJSON *o = NULL;
	const char *text = arena_printf(a, "{\"c\": %s}", json);

	commands[0] = listed;
	commands[1] = NULL;
	CHECK_INT(json_parse(a, text, strlen(text), &o, &why), RC_OK);
	CHECK_INT(target_command(a, o, "c", plan.test_argv, &why), RC_OK);
	return ask();
}

static void
paths_below_the_directories_are_allowed(void)
{
	begin();
	CHECK_INT(ask(), RC_OK);
	CHECK_INT(ask_path(sandbox_path("in/x.pem")), RC_OK);
	/* made by the install */
	CHECK_INT(ask_path(sandbox_path("in/new/current/fullchain.pem")),
	    RC_OK);
	plan.chain_path = sandbox_path("in/chain.pem");
	CHECK_INT(ask(), RC_OK);
}

static void
every_path_of_a_plan_counts(void)
{
	begin();
	plan.key_path = sandbox_path("out/key.pem");
	CHECK_INT(ask(), RC_FORBIDDEN);
	CHECK(strstr(why, "key_path") && strstr(why, "TARGET_DIRS"));
	CHECK(strstr(why, dirs[0]));
	plan.key_path = sandbox_path("in/key.pem");
	plan.chain_path = sandbox_path("out/chain.pem");
	CHECK_INT(ask(), RC_FORBIDDEN);
	CHECK(strstr(why, "chain_path"));
}

static void
prefix_tricks_are_refused(void)
{
	static const char *const bad[] = {"in", "inevil/x.pem", "i/x.pem",
	    "in/../out/x.pem", "in/site/../../out/x.pem", "in//x.pem",
	    "in/./x.pem", "in/site/.", "in/site/..", "in/site/", "../x.pem",
	    "out/x.pem", ""};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(ask_path(sandbox_path(bad[i])), RC_FORBIDDEN);
	CHECK_INT(ask_path("in/x.pem"), RC_FORBIDDEN);
	CHECK_INT(ask_path(""), RC_FORBIDDEN);
	CHECK_INT(ask_path("/"), RC_FORBIDDEN);
}

static void
links_that_lead_out_are_refused(void)
{
	begin();
	CHECK(symlink("../out", sandbox_path("in/link")) == 0);
	CHECK_INT(ask_path(sandbox_path("in/link/x.pem")), RC_FORBIDDEN);
	CHECK(strstr(why, "/out"));
	CHECK_INT(ask_path(sandbox_path("in/link/new/x.pem")), RC_FORBIDDEN);
	CHECK(symlink("loop", sandbox_path("in/loop")) == 0);
	CHECK_INT(ask_path(sandbox_path("in/loop/x.pem")), RC_FORBIDDEN);
	CHECK(strstr(why, "cannot resolve"));
	/* One that stays inside, and one that the host itself named. */
	CHECK(symlink("site", sandbox_path("in/inner")) == 0);
	CHECK_INT(ask_path(sandbox_path("in/inner/x.pem")), RC_OK);
	CHECK(symlink("in", sandbox_path("alias")) == 0);
	dirs[0] = sandbox_path("alias");
	plan.key_path = sandbox_path("alias/key.pem");
	CHECK_INT(ask_path(sandbox_path("alias/site/x.pem")), RC_OK);
}

static void
directories_that_are_missing_allow_nothing(void)
{
	begin();
	dirs[0] = sandbox_path("missing");
	plan.key_path = sandbox_path("missing/key.pem");
	CHECK_INT(ask_path(sandbox_path("missing/x.pem")), RC_FORBIDDEN);
	dirs[0] = NULL;
	CHECK_INT(ask_path(sandbox_path("in/x.pem")), RC_FORBIDDEN);
}

static void
the_agents_own_directory_is_never_a_target(void)
{
	begin();
	CHECK(mkdir(sandbox_path("in/own"), 0700) == 0);
	CHECK_INT(ask_path(sandbox_path("in/own/identity.json")), RC_FORBIDDEN);
	CHECK(strstr(why, "agent's own"));
	CHECK_INT(ask_path(sandbox_path("in/own")), RC_FORBIDDEN);
	CHECK(symlink("own", sandbox_path("in/alias")) == 0);
	CHECK_INT(ask_path(sandbox_path("in/alias/x")), RC_FORBIDDEN);
	CHECK_INT(ask_path(sandbox_path("in/owner/x")), RC_OK);
}

/* The roots it trusts the server by, say. */
static void
a_file_of_the_agents_is_never_a_target(void)
{
	begin();
	own[1] = "";
	own[2] = sandbox_path("in/roots.pem");
	sandbox_put("in/roots.pem", "ROOTS");
	CHECK(symlink("../in", sandbox_path("in/there")) == 0);
	CHECK_INT(ask(), RC_OK);
	plan.chain_path = own[2];
	CHECK_INT(ask(), RC_FORBIDDEN);
	CHECK(strstr(why, "the agent's own"));
	plan.chain_path = sandbox_path("in/there/roots.pem");
	CHECK_INT(ask(), RC_FORBIDDEN);
	own[1] = NULL;
}

/* T/v and T/current are written too, above the files of a direct target. */
static void
versions_above_the_directory_are_refused(void)
{
	begin();
	CHECK_INT(allow_versions(a, &allow, &kind, sandbox_path("in"), &why),
	    RC_OK);
	CHECK_INT(allow_versions(a, &allow, &kind,
		      sandbox_path("in/.certctl-x"), &why),
	    RC_OK);
	CHECK(mkdir(sandbox_path("in/current"), 0755) == 0);
	dirs[0] = sandbox_path("in/current");
	CHECK_INT(allow_versions(a, &allow, &kind, sandbox_path("in"), &why),
	    RC_FORBIDDEN);
	CHECK(strstr(why, "TARGET_DIRS"));
}

static void
commands_match_exactly(void)
{
	begin();
	CHECK_INT(ask_command("/usr/bin/true -t x", "\"/usr/bin/true -t x\""),
	    RC_OK);
	CHECK_INT(ask_command(" /usr/bin/true   -t  x ",
		      "[\"/usr/bin/true\", \"-t\", \"x\"]"),
	    RC_OK);
	CHECK_INT(ask_command("/usr/bin/true -t", "\"/usr/bin/true -t x\""),
	    RC_FORBIDDEN);
	CHECK(strstr(why, "validate_command \"/usr/bin/true -t x\""));
	CHECK(strstr(why, "only: /usr/bin/true -t;"));
	CHECK_INT(ask_command("/usr/bin/true -t x", "\"/usr/bin/true -t\""),
	    RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"/usr/bin/true -t\""),
	    RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true -t x",
		      "[\"/usr/bin/true\", \"-t x\"]"),
	    RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true -t", "[\"/usr/bin/true -t\"]"),
	    RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"/usr/bin/trueish\""),
	    RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"/usr/bin/tru\""),
	    RC_FORBIDDEN);
}

static void
a_star_allows_any_arguments(void)
{
	begin();
	CHECK_INT(ask_command("/usr/bin/true *", "\"/usr/bin/true\""), RC_OK);
	CHECK_INT(ask_command("/usr/bin/true *", "\"/usr/bin/true a b\""),
	    RC_OK);
	CHECK_INT(ask_command("/usr/bin/true a *", "\"/usr/bin/true a b\""),
	    RC_OK);
	CHECK_INT(ask_command("/usr/bin/true a *", "\"/usr/bin/true b b\""),
	    RC_FORBIDDEN);
	/* Only as the last word. */
	CHECK_INT(ask_command("/usr/bin/true * b", "\"/usr/bin/true a b\""),
	    RC_FORBIDDEN);
}

static void
programs_come_by_their_listed_path(void)
{
	begin();
	CHECK_INT(ask_command("/usr/bin/true", "\"true\""), RC_OK);
	CHECK_STR(plan.test_argv[0], "/usr/bin/true");
	CHECK_INT(ask_command("/usr/bin/true", "\"bin/true\""), RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"./true\""), RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"../bin/true\""),
	    RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"/tmp/true\""), RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"/usr/bin/../bin/true\""),
	    RC_FORBIDDEN);
	CHECK_INT(ask_command("/usr/bin/true", "\"sh -c true\""), RC_FORBIDDEN);
	/* The first place that has it. */
	memset(&plan.test_argv, 0, sizeof(plan.test_argv));
	plan.reload_argv[0] = "true";
	commands[0] = "/no/such/true";
	commands[1] = "/usr/bin/true";
	commands[2] = NULL;
	CHECK_INT(ask(), RC_OK);
	CHECK_STR(plan.reload_argv[0], "/usr/bin/true");
	plan.reload_argv[0] = "other";
	CHECK_INT(ask(), RC_FORBIDDEN);
	CHECK(strstr(why, "reload_command"));
}

static void
the_kind_of_target_speaks_where_the_host_does_not(void)
{
	begin();
	kind_dirs[0] = sandbox_path("in");
	kind_commands[0] = "/usr/bin/true -t";
	allow.dirs = allow.commands = by_default;
	CHECK_INT(ask(), RC_OK);
	plan.test_argv[0] = "true";
	plan.test_argv[1] = "-t";
	CHECK_INT(ask(), RC_OK);
	plan.test_argv[1] = "-s";
	CHECK_INT(ask(), RC_FORBIDDEN);
	plan.test_argv[0] = NULL;
	/* What the host says replaces it, or is added to it. */
	dirs[0] = sandbox_path("out");
	allow.dirs = dirs;
	CHECK_INT(ask(), RC_FORBIDDEN);
	dirs[1] = ALLOW_DEFAULT;
	CHECK_INT(ask(), RC_OK);
	CHECK_INT(ask_path(sandbox_path("out/x.pem")), RC_OK);
	allow.dirs = nothing;
	CHECK_INT(ask(), RC_FORBIDDEN);
}

static void
nginx_allows_itself(void)
{
	static const char *const config = "{\"cert_path\": \"/etc/ssl/c.pem\", "
					  "\"key_path\": \"/etc/ssl/k.pem\"}";
	const struct target_kind *nginx = target_find("NGINX");
	const struct cJSON *o = NULL;

	begin();
	allow.dirs = allow.commands = by_default;
	CHECK_INT(json_parse(a, config, strlen(config), &o, &why), RC_OK);
	CHECK_INT(nginx->plan(a, o, &plan, &why), RC_OK);
	CHECK_INT(allow_plan(a, &allow, nginx, &plan, &why), RC_OK);
	CHECK(plan.test_argv[0][0] == '/');
	plan.reload_argv[1] = "-c";
	CHECK_INT(allow_plan(a, &allow, nginx, &plan, &why), RC_FORBIDDEN);
	plan.reload_argv[1] = "-s";
	plan.cert_path = "/etc/nginxevil/c.pem";
	CHECK_INT(allow_plan(a, &allow, nginx, &plan, &why), RC_FORBIDDEN);
	plan.cert_path = "/etc/cron.d/c";
	CHECK_INT(allow_plan(a, &allow, nginx, &plan, &why), RC_FORBIDDEN);
}

static void
odd_lists_are_refused(void)
{
	static const char *const bad_dirs[] = {"etc/ssl", "/", "/etc/", "//etc",
	    "/etc/../root", "/etc/.", "", "Default"};
	static const char *const bad_commands[] = {"nginx -t", "./nginx",
	    "/usr/../nginx", "*", "/"};

	begin();
	CHECK_INT(allow_check(a, &allow, &why), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad_dirs); i++) {
		dirs[0] = bad_dirs[i];
		CHECK_INT(allow_check(a, &allow, &why), RC_INVALID);
		CHECK(strstr(why, "CERTCTL_AGENT_TARGET_DIRS"));
	}
	dirs[0] = ALLOW_DEFAULT;
	for (size_t i = 0; i < ARRAY_LEN(bad_commands); i++) {
		commands[0] = bad_commands[i];
		commands[1] = NULL;
		CHECK_INT(allow_check(a, &allow, &why), RC_INVALID);
		CHECK(strstr(why, "CERTCTL_AGENT_COMMANDS"));
	}
	commands[0] = "/usr/sbin/nginx -t";
	CHECK_INT(allow_check(a, &allow, &why), RC_OK);
}

CHECK_MAIN(CHECK_ROW(paths_below_the_directories_are_allowed),
    CHECK_ROW(every_path_of_a_plan_counts),
    CHECK_ROW(prefix_tricks_are_refused),
    CHECK_ROW(links_that_lead_out_are_refused),
    CHECK_ROW(directories_that_are_missing_allow_nothing),
    CHECK_ROW(the_agents_own_directory_is_never_a_target),
    CHECK_ROW(a_file_of_the_agents_is_never_a_target),
    CHECK_ROW(versions_above_the_directory_are_refused),
    CHECK_ROW(commands_match_exactly), CHECK_ROW(a_star_allows_any_arguments),
    CHECK_ROW(programs_come_by_their_listed_path),
    CHECK_ROW(the_kind_of_target_speaks_where_the_host_does_not),
    CHECK_ROW(nginx_allows_itself), CHECK_ROW(odd_lists_are_refused))
