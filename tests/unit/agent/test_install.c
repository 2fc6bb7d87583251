/*
 * test_install: no mix is ever visible, and every cut-off run can be repeated.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/agent/install_rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static void
paths_of_a_direct_target(void)
{
	direct();
	CHECK(p.is_direct);
	CHECK_STR(p.dir, sandbox_path("T"));
	CHECK_INT(p.key.mode, -1);
}

static void
paths_of_files(void)
{
	a = sandbox_new();
	CHECK_INT(paths("/etc/n/site.crt", "/etc/k/site.key", NULL), RC_OK);
	CHECK(!p.is_direct);
	CHECK_STR(p.dir, "/etc/n/.certctl-site.crt");
	CHECK_INT(paths("/site.crt", "/site.key", "/chain.pem"), RC_OK);
	CHECK_STR(p.dir, "/.certctl-site.crt");
	/* only one of the two names current: files like any other */
	CHECK_INT(paths("/t/current/fullchain.pem", "/t/k.pem", NULL), RC_OK);
	CHECK(!p.is_direct);
	CHECK_INT(paths("/current/fullchain.pem", "/current/privkey.pem", NULL),
	    RC_OK);
	CHECK(!p.is_direct);
}

static void
odd_paths_are_refused(void)
{
	static const char *const bad[] = {"", "/", "c.pem", "./c.pem",
	    "/a/../c", "/a/..", "/a/", "/a//c", "/a/./c", "/a/.", "//c"};
	char far[INSTALL_PATH_MAX + 2];

	a = sandbox_new();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(paths(bad[i], "/k", NULL), RC_INVALID);
		CHECK_INT(paths("/c", bad[i], NULL), RC_INVALID);
		CHECK_INT(paths("/c", "/k", bad[i]), RC_INVALID);
		CHECK(strstr(why, "absolute"));
	}
	memset(far, 'f', sizeof(far));
	far[0] = '/';
	far[sizeof(far) - 1] = '\0';
	CHECK_INT(paths(far, "/k", NULL), RC_INVALID);
	CHECK_INT(paths("/same", "/same", NULL), RC_INVALID);
	CHECK_INT(paths("/c", "/k", "/c"), RC_INVALID);
	CHECK_INT(paths("/c", "/k", "/k"), RC_INVALID);
	CHECK(strstr(why, "different files"));
	CHECK_INT(paths("/a/current/fullchain.pem", "/b/current/privkey.pem",
		      NULL),
	    RC_INVALID);
	CHECK(strstr(why, "two different directories"));
	CHECK_INT(paths("/a/current/fullchain.pem", "/ab/current/privkey.pem",
		      NULL),
	    RC_INVALID);
	/* what the agent makes beside the files, at any depth */
	CHECK_INT(paths("/c", "/.certctl-k", NULL), RC_INVALID);
	CHECK(strstr(why, "begin with .certctl-"));
	CHECK_INT(paths("/c", "/.certctl-c/current/privkey.pem", NULL),
	    RC_INVALID);
	CHECK(strstr(why, "begin with .certctl-"));
	CHECK_INT(paths("/c", "/k", "/.certctl-c/current/chain.pem"),
	    RC_INVALID);
	CHECK(strstr(why, "begin with .certctl-"));
}

static void
stage_writes_the_pair_and_its_chain(void)
{
	direct();
	CHECK_INT(stage("certver-1", LEAF ROOT, "KEY"), RC_OK);
	CHECK_STR(sandbox_get("T/v/certver-1/fullchain.pem"), LEAF ROOT);
	CHECK_STR(sandbox_get("T/v/certver-1/chain.pem"), ROOT);
	CHECK_STR(sandbox_get("T/v/certver-1/privkey.pem"), "KEY");
	CHECK_INT(sandbox_mode("T/v/certver-1/privkey.pem"), 0600);
	CHECK_INT(sandbox_mode("T/v/certver-1/fullchain.pem"), 0644);
	CHECK_INT(sandbox_count("T/v"), 1);
	CHECK(!sandbox_has("T/current"));
}

static void
stage_again_changes_nothing(void)
{
	direct();
	CHECK_INT(stage("certver-1", LEAF, "KEY"), RC_OK);
	CHECK_INT(stage("certver-1", "OTHER", "OTHER"), RC_OK);
	CHECK_STR(sandbox_get("T/v/certver-1/fullchain.pem"), LEAF);
}

static void
stage_starts_over_after_a_cut(void)
{
	direct();
	CHECK(mkdir(sandbox_path("T"), 0755) == 0);
	CHECK(mkdir(sandbox_path("T/v"), 0755) == 0);
	CHECK(mkdir(sandbox_path("T/v/certver-1.tmp"), 0755) == 0);
	sandbox_put("T/v/certver-1.tmp/privkey.pem", "ANOTHER");
	sandbox_put("T/v/certver-1.tmp/fullchain.pem.tmp", "HALF");
	CHECK_INT(stage("certver-1", LEAF, "KEY"), RC_OK);
	CHECK_STR(sandbox_get("T/v/certver-1/privkey.pem"), "KEY");
	CHECK_INT(sandbox_count("T/v/certver-1"), 3);
	CHECK_INT(sandbox_count("T/v"), 1);
}

static void
stage_refuses_odd_versions(void)
{
	static const char *const bad[] = {"", ".", "..", ".x", "a/b", "../x"};

	direct();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(stage(bad[i], LEAF, "KEY"), RC_INVALID);
	CHECK(!sandbox_has("T"));
}

static void
stage_without_room_leaves_nothing(void)
{
	char big[8192];
	rc ret;

	direct();
	CHECK_INT(stage("certver-1", LEAF, "KEY"), RC_OK);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	sandbox_limit_writes(1000);
	ret = stage("certver-2", big, "KEY");
	sandbox_limit_writes(0);
	CHECK_INT(ret, RC_IO);
	CHECK(strstr(why, "cannot write into"));
	CHECK(strstr(why, strerror(EFBIG)));
	CHECK_INT(sandbox_count("T/v"), 1);
	/* with room again it works */
	CHECK_INT(stage("certver-2", big, "KEY"), RC_OK);
}

static void
stage_into_a_missing_directory_says_so(void)
{
	a = sandbox_new();
	CHECK_INT(paths(sandbox_path("no/T/current/fullchain.pem"),
		      sandbox_path("no/T/current/privkey.pem"), NULL),
	    RC_OK);
	CHECK_INT(stage("certver-1", LEAF, "KEY"), RC_NOT_FOUND);
	CHECK(strstr(why, "cannot open directory"));
	CHECK(strstr(why, "No such file"));
}

/* One file by two paths is one certificate's. */
static void
a_file_by_another_path_has_one_owner(void)
{
	const char *real, *linked;

	a = sandbox_new();
	CHECK(mkdir(sandbox_path("etc"), 0755) == 0);
	CHECK(symlink("etc", sandbox_path("linked")) == 0);
	real = sandbox_path("etc/site.crt");
	linked = sandbox_path("linked/site.crt");
	CHECK_INT(paths(real, sandbox_path("etc/a.key"), NULL), RC_OK);
	CHECK_INT(install_owner_check(a, &p, "mc-a", &why), RC_OK);
	CHECK_INT(stage("one", LEAF, "K1"), RC_OK);
	CHECK_INT(install_owner_write(a, &p, "mc-a", &why), RC_OK);
	CHECK_INT(install_owner_check(a, &p, "mc-a", &why), RC_OK);
	/* The server gives a path to one certificate at a time. */
	CHECK_INT(install_owner_check(a, &p, "mc-b", &why), RC_OK);

	CHECK_INT(paths(linked, sandbox_path("etc/b.key"), NULL), RC_OK);
	CHECK_INT(install_owner_check(a, &p, "mc-b", &why), RC_CONFLICT);
	CHECK(strstr(why, "is the same file as ") && strstr(why, real));
	CHECK(strstr(why, "certificate mc-a"));
	CHECK_INT(install_owner_check(a, &p, "mc-a", &why), RC_OK);
	/* Removed as the words say, or taken over by its path, it is free. */
	CHECK(unlink(sandbox_path("etc/.certctl-site.crt/owner")) == 0);
	CHECK_INT(install_owner_check(a, &p, "mc-b", &why), RC_OK);
	CHECK_INT(install_owner_write(a, &p, "mc-b", &why), RC_OK);
	CHECK_INT(paths(real, sandbox_path("etc/a.key"), NULL), RC_OK);
	CHECK_INT(install_owner_check(a, &p, "mc-a", &why), RC_CONFLICT);
}

/* Each of its files, whatever the other would put there. */
static void
no_file_of_another_is_taken_by_another_path(void)
{
	static const char *const names[] = {"site.crt", "a.key", "a.chain"};
	const char *real, *linked, *own = "etc/b.crt", *own_key = "etc/b.key";

	a = sandbox_new();
	CHECK(mkdir(sandbox_path("etc"), 0755) == 0);
	CHECK(symlink("etc", sandbox_path("linked")) == 0);
	CHECK_INT(paths(sandbox_path("etc/site.crt"), sandbox_path("etc/a.key"),
		      sandbox_path("etc/a.chain")),
	    RC_OK);
	CHECK_INT(stage("one", LEAF, "K1"), RC_OK);
	CHECK_INT(install_owner_write(a, &p, "mc-a", &why), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/one", &why), RC_OK);
	CHECK_INT(install_owner_check(a, &p, "mc-a", &why), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		linked = sandbox_path(arena_printf(a, "linked/%s", names[i]));
		real = sandbox_path(arena_printf(a, "etc/%s", names[i]));
		for (int as = i == 0 ? 1 : 0; as < 3; as++) {
			CHECK_INT(paths(as == 0 ? linked : sandbox_path(own),
				      as == 1 ? linked : sandbox_path(own_key),
				      as == 2 ? linked : NULL),
			    RC_OK);
			CHECK_INT(install_owner_check(a, &p, "mc-b", &why),
			    RC_CONFLICT);
			CHECK(strstr(why,
			    arena_printf(a, "%s is the same file as %s, which",
				linked, real)));
			CHECK(strstr(why,
			    arena_printf(a, "remove the link %s", linked)));
			CHECK_INT(install_owner_check(a, &p, "mc-a", &why),
			    RC_OK);
		}
	}
	/* The server gives a path to one certificate at a time. */
	CHECK_INT(paths(sandbox_path(own), sandbox_path("etc/a.key"), NULL),
	    RC_OK);
	CHECK_INT(install_owner_check(a, &p, "mc-b", &why), RC_OK);
	CHECK_INT(paths(sandbox_path(own), sandbox_path("linked/a.key"), NULL),
	    RC_OK);
	CHECK(unlink(sandbox_path("etc/a.key")) == 0);
	CHECK_INT(install_owner_check(a, &p, "mc-b", &why), RC_OK);
}

static void
switch_moves_the_link(void)
{
	const char *current;

	direct();
	CHECK_INT(install_current(a, &p, &current), RC_OK);
	CHECK_STR(current, "");
	CHECK_INT(stage("one", LEAF, "K1"), RC_OK);
	CHECK_INT(stage("two", LEAF, "K2"), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/one", &why), RC_OK);
	CHECK_STR(sandbox_get("T/current/privkey.pem"), "K1");
	CHECK_INT(install_switch(a, &p, "v/two", &why), RC_OK);
	CHECK_INT(install_current(a, &p, &current), RC_OK);
	CHECK_STR(current, "v/two");
	CHECK_STR(sandbox_get("T/current/privkey.pem"), "K2");
}

static void
switch_links_a_chain_beside_current(void)
{
	a = sandbox_new();
	CHECK_INT(paths(sandbox_path("T/current/fullchain.pem"),
		      sandbox_path("T/current/privkey.pem"),
		      sandbox_path("ca.pem")),
	    RC_OK);
	CHECK(p.is_direct);
	CHECK_INT(stage("one", LEAF ROOT, "K1"), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/one", &why), RC_OK);
	CHECK_STR(sandbox_get("ca.pem"), ROOT);
	/* and one that is in current is left alone */
	CHECK_INT(paths(sandbox_path("T/current/fullchain.pem"),
		      sandbox_path("T/current/privkey.pem"),
		      sandbox_path("T/current/chain.pem")),
	    RC_OK);
	CHECK_INT(install_switch(a, &p, "v/one", &why), RC_OK);
	CHECK_STR(sandbox_get("T/current/chain.pem"), ROOT);
	CHECK(!sandbox_link("T/v/one/chain.pem"));
}

static void
current_that_is_no_link_is_an_error(void)
{
	const char *current;

	direct();
	CHECK(mkdir(sandbox_path("T"), 0755) == 0);
	CHECK(mkdir(sandbox_path("T/current"), 0755) == 0);
	CHECK_INT(install_current(a, &p, &current), RC_IO);
	CHECK_INT(stage("one", LEAF, "K1"), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/one", &why), RC_IO);
	CHECK(strstr(why, "cannot switch"));
}

static void
only_a_living_pair_is_usable(void)
{
	const char *cert, *key, *fp;

	direct();
	CHECK(!install_is_usable(a, &p, "", &fp));
	CHECK(!install_is_usable(a, &p, "v/none", &fp));
	sandbox_pair(FAR_AWAY, &cert, &key);
	CHECK_INT(stage("good", cert, key), RC_OK);
	CHECK(install_is_usable(a, &p, "v/good", &fp));
	sandbox_pair(LONG_AGO, &cert, &key);
	CHECK_INT(stage("expired", cert, key), RC_OK);
	CHECK(!install_is_usable(a, &p, "v/expired", &fp));
	CHECK_INT(stage("garbage", "no PEM", key), RC_OK);
	CHECK(!install_is_usable(a, &p, "v/garbage", &fp));
	CHECK(unlink(sandbox_path("T/v/good/privkey.pem")) == 0);
	CHECK(!install_is_usable(a, &p, "v/good", &fp));
}

static void
prune_keeps_what_is_needed(void)
{
	char name[32];

	direct();
	install_prune(a, &p, "v/x", "v/y", 3); /* nothing there: nothing done */
	for (int i = 1; i <= 7; i++) {
		struct timeval t[2] = {{.tv_sec = 1000 + i},
		    {.tv_sec = 1000 + i}};

		snprintf(name, sizeof(name), "certver-%d", i);
		CHECK_INT(stage(name, LEAF, "K"), RC_OK);
		snprintf(name, sizeof(name), "T/v/certver-%d", i);
		CHECK(utimes(sandbox_path(name), t) == 0);
	}
	CHECK(mkdir(sandbox_path("T/v/certver-9.tmp"), 0755) == 0);
	sandbox_put("T/v/certver-9.tmp/privkey.pem", "LEFT");
	sandbox_put("T/v/file", "not ours");
	CHECK(mkdir(sandbox_path("T/v/theirs"), 0755) == 0);
	sandbox_put("T/v/theirs/privkey.pem", "THEIRS");
	CHECK(mkdir(sandbox_path("T/v/theirs.tmp"), 0755) == 0);
	install_prune(a, &p, "v/certver-1", "v/certver-2", 3);
	CHECK(sandbox_has("T/v/certver-1/privkey.pem"));
	CHECK(sandbox_has("T/v/certver-2/privkey.pem"));
	CHECK(!sandbox_has("T/v/certver-3"));
	CHECK(!sandbox_has("T/v/certver-4"));
	CHECK(sandbox_has("T/v/certver-5/privkey.pem"));
	CHECK(sandbox_has("T/v/certver-7/privkey.pem"));
	CHECK(!sandbox_has("T/v/certver-9.tmp"));
	CHECK(sandbox_has("T/v/file"));
	CHECK(sandbox_has("T/v/theirs/privkey.pem"));
	CHECK(sandbox_has("T/v/theirs.tmp"));
}

CHECK_MAIN(CHECK_ROW(paths_of_a_direct_target), CHECK_ROW(paths_of_files),
    CHECK_ROW(odd_paths_are_refused),
    CHECK_ROW(stage_writes_the_pair_and_its_chain),
    CHECK_ROW(stage_again_changes_nothing),
    CHECK_ROW(stage_starts_over_after_a_cut),
    CHECK_ROW(stage_refuses_odd_versions),
    CHECK_ROW(stage_without_room_leaves_nothing),
    CHECK_ROW(stage_into_a_missing_directory_says_so),
    CHECK_ROW(a_file_by_another_path_has_one_owner),
    CHECK_ROW(no_file_of_another_is_taken_by_another_path),
    CHECK_ROW(switch_moves_the_link),
    CHECK_ROW(switch_links_a_chain_beside_current),
    CHECK_ROW(current_that_is_no_link_is_an_error),
    CHECK_ROW(only_a_living_pair_is_usable),
    CHECK_ROW(prune_keeps_what_is_needed))
