/*
 * test_adopt: what an operator has is taken over whole or not at all, and given
 * back as it was.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/agent/install_rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static void
adopt_keeps_the_old_pair(void)
{
	const char *current;

	with_a_pair(FAR_AWAY);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(install_current(a, &p, &current), RC_OK);
	CHECK_STR(current, "v/adopted");
	CHECK_STR(sandbox_link("etc/site.crt"),
	    sandbox_path("etc/.certctl-site.crt/current/fullchain.pem"));
	CHECK_STR(sandbox_get("etc/site.crt"), old_cert);
	CHECK_STR(sandbox_get("etc/site.key"), old_key);
	/* again: nothing */
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_STR(sandbox_get("etc/site.key"), old_key);
	/* the new version shows in both paths at once */
	CHECK_INT(stage("two", ROOT, "NEW"), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/two", &why), RC_OK);
	CHECK_STR(sandbox_get("etc/site.crt"), ROOT);
	CHECK_STR(sandbox_get("etc/site.key"), "NEW");
	install_settle(a, &p);
	CHECK(!sandbox_has("etc/.certctl-orig-site.key"));
	CHECK_STR(sandbox_get("etc/site.key"), "NEW");
}

static void
owner_and_mode_are_kept_from_what_stood_there(void)
{
	struct stat st;

	with_a_pair(FAR_AWAY);
	CHECK_INT(stage("two", ROOT, "NEW"), RC_OK);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/two", &why), RC_OK);
	CHECK_INT(sandbox_mode("etc/site.key"), 0640);
	CHECK_INT(sandbox_mode("etc/site.crt"), 0604);
	CHECK(stat(sandbox_path("etc/site.key"), &st) == 0);
	CHECK_INT(st.st_gid, old_key_stat.st_gid);
	install_settle(a, &p);
	/* and from that version on to the next */
	CHECK_INT(stage("three", ROOT, "NEWER"), RC_OK);
	CHECK_INT(sandbox_mode("etc/.certctl-site.crt/v/three/privkey.pem"),
	    0640);
	p.key.mode = 0400;
	p.key.group = geteuid() == 0 ? "12345" : NULL;
	CHECK_INT(stage("four", ROOT, "NEWEST"), RC_OK);
	CHECK_INT(sandbox_mode("etc/.certctl-site.crt/v/four/privkey.pem"),
	    0400);
	CHECK(stat(sandbox_path("etc/.certctl-site.crt/v/four/privkey.pem"),
		  &st) == 0);
	CHECK(geteuid() != 0 || st.st_gid == 12345);
	p.key.owner = "no-such-user-here";
	CHECK_INT(stage("five", ROOT, "K"), RC_INVALID);
	CHECK(strstr(why, "no user"));
	CHECK(!sandbox_has("etc/.certctl-site.crt/v/five"));
}

static void
a_failed_first_deployment_gives_the_files_back(void)
{
	with_a_pair(FAR_AWAY);
	CHECK_INT(stage("two", ROOT, "NEW"), RC_OK);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/two", &why), RC_OK);
	CHECK_INT(install_back(a, &p, "v/adopted", &why), RC_OK);
	CHECK(is_as_before());
	CHECK(!sandbox_has("etc/.certctl-site.crt/current"));
	CHECK(!sandbox_has("etc/.certctl-site.crt/v/adopted"));
	/* what the operator puts there then is what is adopted next */
	sandbox_pair(FAR_AWAY, &old_cert, &old_key);
	sandbox_put("etc/site.crt", old_cert);
	sandbox_put("etc/site.key", old_key);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_STR(sandbox_get("etc/site.key"), old_key);
}

static void
a_chain_made_by_hand_comes_back(void)
{
	with_a_pair(FAR_AWAY);
	p.chain_path = sandbox_path("etc/ca.pem");
	sandbox_put("etc/ca.pem", old_cert);
	CHECK_INT(stage("two", ROOT, "NEW"), RC_OK);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_STR(sandbox_get("etc/ca.pem"), old_cert);
	CHECK_INT(install_switch(a, &p, "v/two", &why), RC_OK);
	CHECK_STR(sandbox_get("etc/ca.pem"), "");
	CHECK_INT(install_back(a, &p, "v/adopted", &why), RC_OK);
	CHECK_STR(sandbox_get("etc/ca.pem"), old_cert);
	CHECK(!sandbox_link("etc/ca.pem"));
	CHECK(is_as_before());
}

static void
a_first_pair_is_taken_away_whole(void)
{
	with_files();
	CHECK_INT(stage("one", ROOT, "NEW"), RC_OK);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/one", &why), RC_OK);
	CHECK_STR(sandbox_get("etc/site.key"), "NEW");
	CHECK_INT(install_back(a, &p, "", &why), RC_OK);
	CHECK(!sandbox_has("etc/site.crt"));
	CHECK(!sandbox_has("etc/site.key"));
	CHECK(!sandbox_has("etc/.certctl-site.crt/current"));
	/* where there is no directory, there is nothing to take away */
	CHECK_INT(paths(sandbox_path("no/c"), sandbox_path("no/k"), NULL),
	    RC_OK);
	CHECK_INT(install_back(a, &p, "", &why), RC_OK);
	CHECK_INT(install_back(a, &p, "v/one", &why), RC_NOT_FOUND);
}

static void
adopt_follows_links_and_gives_them_back(void)
{
	with_files();
	sandbox_pair(FAR_AWAY, &old_cert, &old_key);
	sandbox_put("archive1", old_cert);
	sandbox_put("archive2", old_key);
	CHECK(chmod(sandbox_path("archive2"), 0600) == 0);
	CHECK(symlink("../archive1", sandbox_path("etc/site.crt")) == 0);
	CHECK(symlink("../archive2", sandbox_path("etc/site.key")) == 0);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_STR(sandbox_get("etc/.certctl-site.crt/v/adopted/fullchain.pem"),
	    old_cert);
	CHECK_INT(sandbox_mode("etc/site.key"), 0600);
	CHECK_STR(sandbox_get("archive2"), old_key);
	CHECK_INT(install_back(a, &p, "v/adopted", &why), RC_OK);
	CHECK_STR(sandbox_link("etc/site.crt"), "../archive1");
	CHECK_STR(sandbox_link("etc/site.key"), "../archive2");
}

static void
what_is_no_pair_is_refused_untouched(void)
{
	const char *other_cert, *other_key;

	with_a_pair(FAR_AWAY);
	CHECK(unlink(sandbox_path("etc/site.key")) == 0);
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK(strstr(why, "no pair to go back to"));
	CHECK(is_same_file("etc/site.crt", &old_cert_stat));
	sandbox_put("etc/site.key", "rubbish");
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK(strstr(why, "no private key"));
	sandbox_pair(FAR_AWAY, &other_cert, &other_key);
	sandbox_put("etc/site.key", other_key);
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK(strstr(why, "is not that of the certificate"));
	sandbox_put("etc/site.crt", "rubbish");
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK(strstr(why, "no certificate"));
	CHECK_STR(sandbox_get("etc/site.crt"), "rubbish");
	CHECK_STR(sandbox_get("etc/site.key"), other_key);
	CHECK(!sandbox_has("etc/.certctl-site.crt"));
}

/* A crash after current was set and before both paths were links. */
static void
adopt_that_was_cut_off_is_finished(void)
{
	with_a_pair(FAR_AWAY);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK(rename(sandbox_path("etc/.certctl-orig-site.key"),
		  sandbox_path("etc/site.key")) == 0);
	CHECK_INT(stage("two", ROOT, "NEW"), RC_OK);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK(sandbox_link("etc/site.key") != NULL);
	CHECK_STR(sandbox_get("etc/site.key"), old_key);
	CHECK_INT(install_switch(a, &p, "v/two", &why), RC_OK);
	CHECK_STR(sandbox_get("etc/site.key"), "NEW");
	CHECK_INT(install_back(a, &p, "v/adopted", &why), RC_OK);
	CHECK(is_as_before());
}

static void
directories_of_others_are_refused(void)
{
	with_a_pair(FAR_AWAY);
	CHECK(chmod(sandbox_path("etc"), 0777) == 0);
	CHECK_INT(stage("two", ROOT, "NEW"), RC_FORBIDDEN);
	CHECK(strstr(why, "not safe to write in"));
	CHECK(chmod(sandbox_path("etc"), 01777) == 0);
	CHECK_INT(install_adopt(a, &p, &why), RC_FORBIDDEN);
	CHECK(chmod(sandbox_path("etc"), 0755) == 0);
	if (geteuid() != 0)
		return;
	CHECK(chown(sandbox_path("etc"), 65534, 65534) == 0);
	CHECK_INT(stage("two", ROOT, "NEW"), RC_FORBIDDEN);
	CHECK_INT(install_adopt(a, &p, &why), RC_FORBIDDEN);
	CHECK(strstr(why, "user 65534"));
	CHECK(is_as_before());
	CHECK(!sandbox_has("etc/.certctl-site.crt"));
}

/* Its directory exchanged for a link to somebody's files: nothing there is
 * read, written or deleted. */
static void
links_in_the_place_of_versions_lead_nowhere(void)
{
	direct();
	CHECK(mkdir(sandbox_path("precious"), 0755) == 0);
	sandbox_put("precious/privkey.pem", "PRECIOUS");
	CHECK_INT(stage("certver-one", LEAF, "K1"), RC_OK);
	CHECK(symlink("../../precious", sandbox_path("T/v/certver-two.tmp")) ==
	      0);
	CHECK(
	    symlink("../../precious", sandbox_path("T/v/certver-three")) == 0);
	CHECK_INT(stage("certver-two", LEAF, "K2"), RC_IO);
	CHECK_INT(install_switch(a, &p, "v/certver-three", &why), RC_IO);
	install_prune(a, &p, "v/x", "v/y", 0);
	CHECK_STR(sandbox_get("precious/privkey.pem"), "PRECIOUS");
	CHECK(!sandbox_has("T/v/certver-one"));
}

/* As a lesser user: his directory's entry is now ours, now a link of his. */
static void
flip_for_ever(const char *home)
{
	if (setgid(65534) != 0 || setuid(65534) != 0 || chdir(home) != 0)
		_exit(1);
	for (;;) {
		(void)rename("site", "kept");
		(void)symlink("../precious", "site");
		(void)unlink("site");
		(void)rename("kept", "site");
	}
}

/* Needs a lesser user, so that it says more when run as root. */
static void
names_flipped_by_a_lesser_user_harm_nothing(void)
{
	int n_done = 0;
	pid_t child;

	a = sandbox_new();
	CHECK(chmod(sandbox_path("."), 0755) == 0);
	CHECK(mkdir(sandbox_path("precious"), 0755) == 0);
	CHECK(mkdir(sandbox_path("precious/v"), 0755) == 0);
	CHECK(mkdir(sandbox_path("precious/v/x"), 0755) == 0);
	sandbox_put("precious/v/x/privkey.pem", "PRECIOUS");
	CHECK(mkdir(sandbox_path("home"), 0755) == 0);
	CHECK(mkdir(sandbox_path("home/site"), 0755) == 0);
	CHECK_INT(paths(sandbox_path("home/site/current/fullchain.pem"),
		      sandbox_path("home/site/current/privkey.pem"), NULL),
	    RC_OK);
	if (geteuid() != 0) {
		CHECK(chmod(sandbox_path("home"), 0777) == 0);
		CHECK_INT(stage("one", LEAF, "K1"), RC_FORBIDDEN);
		return;
	}
	CHECK(chown(sandbox_path("home"), 65534, 65534) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		flip_for_ever(sandbox_path("home"));
	for (int i = 0; i < 2000; i++) {
		n_done += stage("one", LEAF, "K1") == RC_OK ||
			  install_switch(a, &p, "v/x", &why) == RC_OK;
		install_prune(a, &p, "v/y", "v/z", 0);
	}
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	CHECK_INT(n_done, 0);
	CHECK_INT(sandbox_count("precious"), 1);
	CHECK_INT(sandbox_count("precious/v"), 1);
	CHECK_STR(sandbox_get("precious/v/x/privkey.pem"), "PRECIOUS");
}

/* As a release's "current" is. */
static void
a_current_of_somebody_else_stays(void)
{
	static const char *const theirs[] = {"releases/7", "/srv/x", "v",
	    "v/../x", "v/a/b"};
	const char *current;

	for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
		direct();
		CHECK(mkdir(sandbox_path("T"), 0755) == 0);
		CHECK(symlink(theirs[i], sandbox_path("T/current")) == 0);
		CHECK_INT(install_current(a, &p, &current), RC_CONFLICT);
		CHECK_INT(install_adopt(a, &p, &why), RC_CONFLICT);
		CHECK(strstr(why, "not one that certctl makes"));
		CHECK_STR(sandbox_link("T/current"), theirs[i]);
	}
}

static void
a_chain_that_is_not_the_pairs_is_refused(void)
{
	const char *other, *key;

	with_a_pair(FAR_AWAY);
	p.chain_path = sandbox_path("etc/nginx.conf");
	sandbox_put("etc/nginx.conf", "http {}");
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK(strstr(why, "chain_path"));
	CHECK_STR(sandbox_get("etc/nginx.conf"), "http {}");
	CHECK(is_as_before());
	CHECK(unlink(sandbox_path("etc/nginx.conf")) == 0);
	CHECK(mkfifo(sandbox_path("etc/nginx.conf"), 0600) == 0);
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK(is_as_before());
	/* roots, and no pair that they have to do with */
	with_files();
	sandbox_pair(FAR_AWAY, &other, &key);
	p.chain_path = sandbox_path("etc/roots.pem");
	sandbox_put("etc/roots.pem", other);
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK_STR(sandbox_get("etc/roots.pem"), other);
	direct();
	sandbox_pair(FAR_AWAY, &other, &key);
	p.chain_path = sandbox_path("roots.pem");
	sandbox_put("roots.pem", other);
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK_STR(sandbox_get("roots.pem"), other);
}

/* A combined file, named twice by way of a link. */
static void
one_file_by_two_paths_is_refused(void)
{
	const char *both;

	with_files();
	sandbox_pair(FAR_AWAY, &old_cert, &old_key);
	both = arena_printf(a, "%s%s", old_cert, old_key);
	sandbox_put("etc/both.pem", both);
	CHECK(symlink("etc", sandbox_path("link")) == 0);
	CHECK_INT(paths(sandbox_path("etc/both.pem"),
		      sandbox_path("link/both.pem"), NULL),
	    RC_OK);
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	CHECK(strstr(why, "the same file"));
	CHECK_STR(sandbox_get("etc/both.pem"), both);
	CHECK(!sandbox_link("etc/both.pem"));
	CHECK_INT(paths("/e/c", "/e/.certctl-orig-c", NULL), RC_INVALID);
	CHECK_INT(paths("/e/.certctl-c", "/e/k", NULL), RC_INVALID);
	CHECK_INT(paths("/e/c", "/e/k", "/e/.certctl-orig-k"), RC_INVALID);
}

CHECK_MAIN(CHECK_ROW(adopt_keeps_the_old_pair),
    CHECK_ROW(owner_and_mode_are_kept_from_what_stood_there),
    CHECK_ROW(a_failed_first_deployment_gives_the_files_back),
    CHECK_ROW(a_chain_made_by_hand_comes_back),
    CHECK_ROW(a_first_pair_is_taken_away_whole),
    CHECK_ROW(adopt_follows_links_and_gives_them_back),
    CHECK_ROW(what_is_no_pair_is_refused_untouched),
    CHECK_ROW(directories_of_others_are_refused),
    CHECK_ROW(links_in_the_place_of_versions_lead_nowhere),
    CHECK_ROW(names_flipped_by_a_lesser_user_harm_nothing),
    CHECK_ROW(adopt_that_was_cut_off_is_finished),
    CHECK_ROW(a_current_of_somebody_else_stays),
    CHECK_ROW(a_chain_that_is_not_the_pairs_is_refused),
    CHECK_ROW(one_file_by_two_paths_is_refused))
