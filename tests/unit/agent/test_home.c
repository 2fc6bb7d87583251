/*
 * test_home: the agent's own directories are taken only when nobody else can
 * have prepared them, and nothing is made to fit.
 */
#include "agent/home.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log/log.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static const struct cfg_key keys[] = {
    {"state_dir", "HOME_TEST_STATE", CFG_PATH, "", 1, 3000, 0, ""},
    {"key_dir", "HOME_TEST_KEYS", CFG_PATH, "", 1, 3000, 0, ""},
};
static struct agent agent = {.key_dir_fd = -1,
    .journal_dir_fd = -1,
    .served_dir_fd = -1,
    .state_dir_fd = -1};

static void
begin(void)
{
	(void)sandbox_new();
	log_init("test", LOG_ERROR, false);
}

static rc
open_with(const char *state, const char *key)
{
	rc ret;

	home_close(&agent);
	cfg_free(agent.cfg);
	agent.cfg = NULL;
	if (setenv("HOME_TEST_STATE", state, 1) != 0 ||
	    setenv("HOME_TEST_KEYS", key, 1) != 0)
		err(1, "setenv");
	CHECK_INT(cfg_load(keys, ARRAY_LEN(keys), &agent.cfg), RC_OK);
	ret = home_check(&agent);
	if (ret != RC_OK) {
		CHECK_INT(home_open(&agent), ret);
		return ret;
	}
	return home_open(&agent);
}

static rc
open_usual(void)
{
	return open_with(sandbox_path("s"), sandbox_path("s/keys"));
}

static void
missing_ones_are_made(void)
{
	begin();
	CHECK_INT(open_usual(), RC_OK);
	CHECK_INT(sandbox_mode("s"), 0700);
	CHECK_INT(sandbox_mode("s/keys"), 0700);
	CHECK_INT(sandbox_mode("s/journal"), 0700);
	CHECK_INT(sandbox_mode("s/served"), 0700);
	/* Again, before the identity was written, and after. */
	CHECK_INT(open_usual(), RC_OK);
	sandbox_put("s/identity.json", "{}");
	CHECK_INT(open_usual(), RC_OK);
}

static void
a_check_makes_nothing(void)
{
	begin();
	CHECK_INT(open_usual(), RC_OK);
	home_close(&agent);
	CHECK(rmdir(sandbox_path("s/journal")) == 0);
	CHECK(rmdir(sandbox_path("s/served")) == 0);
	CHECK(rmdir(sandbox_path("s/keys")) == 0);
	CHECK(rmdir(sandbox_path("s")) == 0);
	CHECK_INT(home_check(&agent), RC_OK);
	CHECK(!sandbox_has("s"));
}

static void
modes_of_others_are_refused_and_left(void)
{
	static const mode_t bad[] = {0755, 0750, 0701, 0720, 01777};

	begin();
	CHECK_INT(open_usual(), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(chmod(sandbox_path("s"), bad[i]) == 0);
		CHECK_INT(open_usual(), RC_FORBIDDEN);
		CHECK_INT(sandbox_mode("s"), bad[i]);
		CHECK(chmod(sandbox_path("s"), 0700) == 0);
		CHECK(chmod(sandbox_path("s/keys"), bad[i]) == 0);
		CHECK_INT(open_usual(), RC_FORBIDDEN);
		CHECK_INT(sandbox_mode("s/keys"), bad[i]);
		CHECK(chmod(sandbox_path("s/keys"), 0700) == 0);
	}
	CHECK_INT(open_usual(), RC_OK);
}

static void
another_owner_is_refused(void)
{
	begin();
	if (geteuid() == 0) {
		CHECK(mkdir(sandbox_path("s"), 0700) == 0);
		CHECK(chown(sandbox_path("s"), 65534, 65534) == 0);
		CHECK_INT(open_usual(), RC_FORBIDDEN);
		CHECK_INT(sandbox_count("s"), 0);
	}
	/* Root's, whoever runs this. */
	CHECK(open_with("/proc/1", sandbox_path("keys")) != RC_OK);
	CHECK(!sandbox_has("keys"));
}

static void
links_and_files_are_refused(void)
{
	begin();
	CHECK(mkdir(sandbox_path("real"), 0700) == 0);
	CHECK(symlink("real", sandbox_path("s")) == 0);
	CHECK_INT(open_usual(), RC_IO);
	CHECK_INT(sandbox_count("real"), 0);
	CHECK(unlink(sandbox_path("s")) == 0);
	sandbox_put("s", "text");
	CHECK_INT(open_usual(), RC_IO);
	CHECK_STR(sandbox_get("s"), "text");
	CHECK(unlink(sandbox_path("s")) == 0);
	CHECK(mkdir(sandbox_path("s"), 0700) == 0);
	CHECK(symlink("../real", sandbox_path("s/keys")) == 0);
	CHECK_INT(open_usual(), RC_IO);
	CHECK(unlink(sandbox_path("s/keys")) == 0);
	CHECK(symlink("../real", sandbox_path("s/journal")) == 0);
	CHECK_INT(home_open(&agent), RC_IO);
	CHECK_INT(sandbox_count("real"), 0);
	CHECK_INT(open_with(sandbox_path("no/where"), sandbox_path("k")),
	    RC_NOT_FOUND);
}

/* Whoever can write above it can put another in its place. */
static void
parents_of_others_are_refused(void)
{
	static const char *const names[] = {"p", "p/q"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *state, *key_dir;

		begin();
		CHECK(mkdir(sandbox_path("p"), 0755) == 0);
		CHECK(mkdir(sandbox_path("p/q"), 0755) == 0);
		state = sandbox_path("p/q/s");
		key_dir = sandbox_path("p/q/s/keys");
		CHECK(chmod(sandbox_path(names[i]), 0775) == 0);
		CHECK_INT(open_with(state, key_dir), RC_FORBIDDEN);
		CHECK_INT(open_with(sandbox_path("s"), key_dir), RC_FORBIDDEN);
		CHECK(!sandbox_has("p/q/s"));
		CHECK(chmod(sandbox_path(names[i]), 0757) == 0);
		CHECK_INT(open_with(state, key_dir), RC_FORBIDDEN);
		/* as /tmp is, where nobody can */
		CHECK(chmod(sandbox_path(names[i]), 01777) == 0);
		CHECK_INT(open_with(state, key_dir), RC_OK);
		if (geteuid() != 0)
			continue;
		CHECK(chmod(sandbox_path(names[i]), 0755) == 0);
		CHECK(chown(sandbox_path(names[i]), 65534, 65534) == 0);
		CHECK_INT(open_with(state, key_dir), RC_FORBIDDEN);
	}
}

static void
a_link_above_is_followed_where_nobody_can_move_it(void)
{
	begin();
	CHECK(mkdir(sandbox_path("real"), 0755) == 0);
	CHECK(symlink("real", sandbox_path("l")) == 0);
	CHECK_INT(open_with(sandbox_path("l/s"), sandbox_path("l/s/keys")),
	    RC_OK);
	CHECK(sandbox_has("real/s/keys"));
	CHECK(mkdir(sandbox_path("open"), 0700) == 0);
	CHECK(chmod(sandbox_path("open"), 01777) == 0);
	CHECK(symlink("../real", sandbox_path("open/l")) == 0);
	CHECK_INT(open_with(sandbox_path("open/l/s"),
		      sandbox_path("open/l/s/keys")),
	    RC_FORBIDDEN);
}

static void
odd_paths_are_refused(void)
{
	static const char *const odd[] = {"s", "./s", "/", "//"};

	begin();
	CHECK(chdir(sandbox_path(".")) == 0);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		CHECK(open_with(odd[i], sandbox_path("keys")) != RC_OK);
	CHECK(chdir("/") == 0);
	CHECK_INT(sandbox_count("."), 0);
}

static void
contents_of_others_are_refused(void)
{
	begin();
	CHECK(mkdir(sandbox_path("s"), 0700) == 0);
	sandbox_put("s/.bashrc", "");
	CHECK_INT(open_usual(), RC_CONFLICT);
	CHECK_INT(sandbox_count("s"), 1);
	/* A file of somebody's beside an agent's own is nobody's business. */
	sandbox_put("s/identity.json", "{}");
	CHECK_INT(open_usual(), RC_OK);
	sandbox_put("s/keys/snakeoil.key", "");
	CHECK_INT(open_usual(), RC_CONFLICT);
	sandbox_put("s/keys/job-1.key", "");
	CHECK_INT(open_usual(), RC_OK);
}

static void
one_directory_may_be_both(void)
{
	begin();
	CHECK_INT(open_with(sandbox_path("s"), sandbox_path("s")), RC_OK);
	sandbox_put("s/job-1.key", "");
	sandbox_put("s/job-1.in-0123456789abcdef", "");
	CHECK_INT(open_with(sandbox_path("s"), sandbox_path("s")), RC_OK);
	sandbox_put("s/identity.json", "{}");
	CHECK_INT(open_with(sandbox_path("s"), sandbox_path("s")), RC_OK);
}

static void
a_deep_key_directory_is_known(void)
{
	begin();
	CHECK(mkdir(sandbox_path("s"), 0700) == 0);
	CHECK(mkdir(sandbox_path("s/deep"), 0700) == 0);
	CHECK_INT(open_with(sandbox_path("s"), sandbox_path("s/deep/keys/")),
	    RC_OK);
	CHECK(mkdir(sandbox_path("s/dee"), 0700) == 0);
	CHECK_INT(open_with(sandbox_path("s"), sandbox_path("s/deep/keys")),
	    RC_CONFLICT);
}

CHECK_MAIN(CHECK_ROW(missing_ones_are_made), CHECK_ROW(a_check_makes_nothing),
    CHECK_ROW(modes_of_others_are_refused_and_left),
    CHECK_ROW(another_owner_is_refused), CHECK_ROW(links_and_files_are_refused),
    CHECK_ROW(parents_of_others_are_refused),
    CHECK_ROW(a_link_above_is_followed_where_nobody_can_move_it),
    CHECK_ROW(odd_paths_are_refused), CHECK_ROW(contents_of_others_are_refused),
    CHECK_ROW(one_directory_may_be_both),
    CHECK_ROW(a_deep_key_directory_is_known))
