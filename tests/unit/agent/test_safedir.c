/*
 * test_safedir: a directory is opened only where nobody else can exchange it,
 * and only within its bounds, whatever its path said a moment ago.
 */
#include "agent/safedir.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/allow.h"
#include "agent/install.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static struct arena *a;
static const char *why;
static const char *within[3], *without[3];
static const struct safedir_bounds bounds = {within, without};

static void
begin(void)
{
	a = sandbox_new();
	why = "";
	CHECK(mkdir(sandbox_path("in"), 0755) == 0);
	CHECK(mkdir(sandbox_path("in/deep"), 0755) == 0);
	CHECK(mkdir(sandbox_path("in/own"), 0755) == 0);
	CHECK(mkdir(sandbox_path("in/own/deep"), 0755) == 0);
	CHECK(mkdir(sandbox_path("out"), 0755) == 0);
	within[0] = sandbox_path("in");
	without[0] = sandbox_path("in/own");
	without[1] = "";
}

static rc
open_within(const char *name)
{
	int fd;
	rc ret;

	ret = safedir_open_within(a, sandbox_path(name), &bounds, &fd, &why);
	if (ret == RC_OK)
		close(fd);
	return ret;
}

static void
bounds_hold_for_what_is_opened(void)
{
	begin();
	CHECK_INT(open_within("in"), RC_OK);
	CHECK_INT(open_within("in/deep"), RC_OK);
	CHECK_INT(open_within("out"), RC_FORBIDDEN);
	CHECK(strstr(why, "CERTCTL_AGENT_TARGET_DIRS"));
	CHECK_INT(open_within("."), RC_FORBIDDEN);
	CHECK_INT(open_within("in/own"), RC_FORBIDDEN);
	CHECK_INT(open_within("in/own/deep"), RC_FORBIDDEN);
	CHECK_INT(open_within("in/none"), RC_NOT_FOUND);
	CHECK(symlink("../out", sandbox_path("in/link")) == 0);
	CHECK_INT(open_within("in/link"), RC_FORBIDDEN);
	CHECK(symlink("in/deep", sandbox_path("back")) == 0);
	CHECK_INT(open_within("back"), RC_OK);
	CHECK(symlink("in/own", sandbox_path("to-own")) == 0);
	CHECK_INT(open_within("to-own/deep"), RC_FORBIDDEN);
}

static void
lists_that_name_nothing_allow_nothing(void)
{
	begin();
	within[0] = sandbox_path("none");
	CHECK_INT(open_within("in"), RC_FORBIDDEN);
	within[0] = "";
	CHECK_INT(open_within("in"), RC_FORBIDDEN);
	within[0] = NULL;
	CHECK_INT(open_within("in"), RC_FORBIDDEN);
}

/* A listed directory may be a link itself. */
static void
a_listed_link_is_where_it_leads(void)
{
	begin();
	CHECK(symlink("in", sandbox_path("listed")) == 0);
	within[0] = sandbox_path("listed");
	CHECK_INT(open_within("listed/deep"), RC_OK);
	CHECK_INT(open_within("in/deep"), RC_OK);
	CHECK_INT(open_within("out"), RC_FORBIDDEN);
}

/* The link leads to an allowed directory while the host is asked, and to
 * another of the agent's user when the files are written. */
static void
a_link_swapped_after_the_question_leads_nowhere(void)
{
	static const char *const commands[] = {"default", NULL};
	static const char *const kind_dirs[] = {NULL};
	static const struct target_kind kind = {.type = "TEST",
	    .dirs = kind_dirs,
	    .commands = kind_dirs};
	struct target_plan plan = {0};
	struct install_paths p;
	struct allow w = {within, commands, without};
	struct secret *pem;
	const char *cert, *key;

	begin();
	CHECK(symlink("deep", sandbox_path("in/link")) == 0);
	sandbox_pair(4000000000, &cert, &key);
	sandbox_put("out/site.crt", cert);
	sandbox_put("out/site.key", key);
	plan.cert_path = sandbox_path("in/link/site.crt");
	plan.key_path = sandbox_path("in/link/site.key");
	CHECK_INT(allow_plan(a, &w, &kind, &plan, &why), RC_OK);
	CHECK_INT(install_paths_of(a, plan.cert_path, plan.key_path, NULL, &p,
		      &why),
	    RC_OK);
	CHECK_INT(allow_versions(a, &w, &kind, p.dir, &why), RC_OK);
	p.bounds = allow_bounds(a, &w, &kind);
	CHECK(unlink(sandbox_path("in/link")) == 0);
	CHECK(symlink("../out", sandbox_path("in/link")) == 0);
	pem = secret_new(key, strlen(key));
	CHECK_INT(install_check(a, &p, &why), RC_FORBIDDEN);
	CHECK_INT(install_stage(a, &p, "certver-1", cert, pem, &why),
	    RC_FORBIDDEN);
	CHECK_INT(install_adopt(a, &p, &why), RC_FORBIDDEN);
	CHECK_INT(install_switch(a, &p, "v/certver-1", &why), RC_FORBIDDEN);
	CHECK_INT(install_back(a, &p, "", &why), RC_FORBIDDEN);
	install_settle(a, &p);
	secret_free(pem);
	CHECK_INT(sandbox_count("out"), 2);
	CHECK_STR(sandbox_get("out/site.key"), key);
	CHECK(!sandbox_link("out/site.crt"));
}

/* T itself may be the listed directory, whose parent is not. */
static void
a_listed_directory_may_hold_the_versions(void)
{
	struct install_paths p;
	struct secret *pem = secret_new("KEY", 3);

	begin();
	CHECK_INT(install_paths_of(a, sandbox_path("in/current/fullchain.pem"),
		      sandbox_path("in/current/privkey.pem"), NULL, &p, &why),
	    RC_OK);
	p.bounds = &bounds;
	CHECK_INT(install_stage(a, &p, "certver-1", "CERT", pem, &why), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/certver-1", &why), RC_OK);
	CHECK_STR(sandbox_get("in/current/privkey.pem"), "KEY");
	/* one that is missing is not made in a directory that is not listed */
	within[0] = sandbox_path("new");
	CHECK_INT(install_paths_of(a, sandbox_path("new/current/fullchain.pem"),
		      sandbox_path("new/current/privkey.pem"), NULL, &p, &why),
	    RC_OK);
	p.bounds = &bounds;
	CHECK_INT(install_stage(a, &p, "certver-1", "CERT", pem, &why),
	    RC_FORBIDDEN);
	CHECK(!sandbox_has("new"));
	secret_free(pem);
}

static void
above_is_where_the_last_name_stands(void)
{
	static const char *const odd[] = {"", "x", "x/y", "/", "///"};
	const char *name;
	int fd;

	begin();
	CHECK_INT(safedir_open_above(a, sandbox_path("in/new//"), &fd, &name,
		      &why),
	    RC_OK);
	CHECK_STR(name, "new");
	CHECK(mkdirat(fd, name, 0700) == 0);
	close(fd);
	CHECK(sandbox_has("in/new"));
	CHECK_INT(safedir_open_above(a, "/new", &fd, &name, &why), RC_OK);
	close(fd);
	CHECK_STR(name, "new");
	CHECK_INT(safedir_open_above(a, sandbox_path("none/new"), &fd, &name,
		      &why),
	    RC_NOT_FOUND);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		CHECK_INT(safedir_open_above(a, odd[i], &fd, &name, &why),
		    RC_INVALID);
	/* a sticky one will do there, and nowhere else */
	CHECK(chmod(sandbox_path("out"), 01777) == 0);
	CHECK_INT(safedir_open_above(a, sandbox_path("out/new"), &fd, &name,
		      &why),
	    RC_OK);
	close(fd);
	CHECK_INT(safedir_open(a, sandbox_path("out"), &fd, &why),
	    RC_FORBIDDEN);
}

static rc
program(const char *name)
{
	return safedir_check_program(a, sandbox_path(name), &why);
}

static void
programs_that_others_can_change_are_told(void)
{
	begin();
	sandbox_put("in/p", "#!/bin/true");
	CHECK(chmod(sandbox_path("in/p"), 0755) == 0);
	CHECK_INT(program("in/p"), RC_OK);
	CHECK_INT(program("in/none"), RC_NOT_FOUND);
	CHECK_INT(program("none/p"), RC_NOT_FOUND);
	CHECK(symlink("../in/p", sandbox_path("out/l")) == 0);
	CHECK(symlink(sandbox_path("out/l"), sandbox_path("in/l")) == 0);
	CHECK_INT(program("in/l"), RC_OK);
	CHECK(symlink("circle", sandbox_path("in/circle")) == 0);
	CHECK_INT(program("in/circle"), RC_IO);
	/* the file, its directory, and that of a link on the way */
	CHECK(chmod(sandbox_path("in/p"), 0775) == 0);
	CHECK_INT(program("in/p"), RC_FORBIDDEN);
	CHECK(strstr(why, "mode 0775"));
	CHECK_INT(program("in/l"), RC_FORBIDDEN);
	CHECK(chmod(sandbox_path("in/p"), 0755) == 0);
	CHECK(chmod(sandbox_path("in"), 0775) == 0);
	CHECK_INT(program("in/p"), RC_FORBIDDEN);
	CHECK(chmod(sandbox_path("in"), 0755) == 0);
	CHECK(chmod(sandbox_path("out"), 0777) == 0);
	CHECK_INT(program("in/l"), RC_FORBIDDEN);
	CHECK_INT(program("in/p"), RC_OK);
	if (geteuid() != 0)
		return;
	CHECK(chown(sandbox_path("in/p"), 65534, 65534) == 0);
	CHECK_INT(program("in/p"), RC_FORBIDDEN);
	CHECK(strstr(why, "user 65534"));
}

/* Listed by the host, and still not run. */
static void
a_listed_program_of_others_is_refused(void)
{
	static const char *const none[] = {NULL};
	static const struct target_kind kind = {.type = "TEST",
	    .dirs = none,
	    .commands = none};
	const char *commands[] = {NULL, NULL};
	struct allow w = {within, commands, without};
	struct target_plan plan = {0};

	begin();
	sandbox_put("in/p", "#!/bin/true");
	CHECK(chmod(sandbox_path("in/p"), 0755) == 0);
	commands[0] = sandbox_path("in/p");
	plan.cert_path = sandbox_path("in/site.crt");
	plan.key_path = sandbox_path("in/site.key");
	plan.reload_argv[0] = "p";
	CHECK_INT(allow_plan(a, &w, &kind, &plan, &why), RC_OK);
	CHECK_STR(plan.reload_argv[0], sandbox_path("in/p"));
	CHECK(chmod(sandbox_path("in/p"), 0777) == 0);
	CHECK_INT(allow_plan(a, &w, &kind, &plan, &why), RC_FORBIDDEN);
	CHECK(strstr(why, "reload_command would run"));
}

CHECK_MAIN(CHECK_ROW(bounds_hold_for_what_is_opened),
    CHECK_ROW(lists_that_name_nothing_allow_nothing),
    CHECK_ROW(a_listed_link_is_where_it_leads),
    CHECK_ROW(a_link_swapped_after_the_question_leads_nowhere),
    CHECK_ROW(a_listed_directory_may_hold_the_versions),
    CHECK_ROW(above_is_where_the_last_name_stands),
    CHECK_ROW(programs_that_others_can_change_are_told),
    CHECK_ROW(a_listed_program_of_others_is_refused))
