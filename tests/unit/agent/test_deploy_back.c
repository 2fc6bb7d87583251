/*
 * test_deploy_back: a deployment that fails leaves what was there before,
 * proven like the way forward, and never a pair that is revoked or expired.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/install.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/agent/site.h"
#include "tests/unit/check.h"

#define CURRENT "etc/.certctl-site.crt/current"
#define STAYS "so the new one stays"

static struct site *site;
static bool is_switch_failing;
static const char *old_cert, *old_key; /* what stood before */
static struct stat cert_before, key_before;

rc __real_install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why);
rc __wrap_install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why);

/* As where the link has moved and cannot be synced. */
rc
__wrap_install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why)
{
	rc ret = __real_install_switch(a, p, target, out_why);

	if (ret != RC_OK || !is_switch_failing)
		return ret;
	*out_why = "cannot sync";
	return RC_IO;
}

/* A target that serves a pair of the operator's, and a new one issued. */
static void
begin(long not_after_unix)
{
	site = site_new(true);
	sandbox_pair(not_after_unix, &old_cert, &old_key);
	site_stand(old_cert, old_key);
	CHECK(chmod(sandbox_path("etc/site.crt"), 0604) == 0);
	CHECK(chmod(sandbox_path("etc/site.key"), 0640) == 0);
	if (geteuid() == 0)
		CHECK(chown(sandbox_path("etc/site.key"), 0, 33) == 0);
	CHECK(stat(sandbox_path("etc/site.crt"), &cert_before) == 0);
	CHECK(stat(sandbox_path("etc/site.key"), &key_before) == 0);
	site_issue("1", SITE_FAR_AWAY, "[]");
}

/* And one where a first version of ours is in service. */
static void
begin_renewal(long not_after_unix, bool is_revoked)
{
	char list[80];

	site = site_new(true);
	site_issue("1", not_after_unix, "[]");
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
	old_cert = site->cert;
	old_key = site->key;
	snprintf(list, sizeof(list), "[\"%s\"]", site_fingerprint(old_cert));
	site_issue("2", SITE_FAR_AWAY, is_revoked ? list : "[]");
	site->tests = site->reloads = site->handshakes = 0;
}

static bool
is_same_file(const char *name, const struct stat *want)
{
	struct stat st;

	return lstat(sandbox_path(name), &st) == 0 &&
	       st.st_ino == want->st_ino && st.st_mode == want->st_mode &&
	       st.st_uid == want->st_uid && st.st_gid == want->st_gid &&
	       st.st_size == want->st_size &&
	       st.st_mtim.tv_sec == want->st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == want->st_mtim.tv_nsec;
}

/* The operator's own files, and nothing of ours that leads anywhere. */
static bool
is_as_before(void)
{
	return is_same_file("etc/site.crt", &cert_before) &&
	       is_same_file("etc/site.key", &key_before) &&
	       site_shows(old_cert, old_key) && !sandbox_has(CURRENT) &&
	       !sandbox_has("etc/.certctl-orig-site.crt") &&
	       !sandbox_has("etc/.certctl-orig-site.key") &&
	       sandbox_count("state/journal") == 0;
}

static void
a_failed_test_gives_the_operators_files_back(void)
{
	begin(SITE_FAR_AWAY);
	site->test_status = 1;
	site_deploy("1");
	CHECK_STR(site_status(), "Failed");
	CHECK(strstr(site_error(), "the configuration test (/usr/sbin/nginx) "
				   "ended with status 1: words"));
	CHECK(is_as_before());
	CHECK(site_serves(old_cert));
	/* what runs never changed, so that nothing is to be proven */
	CHECK_INT(site->handshakes, 0);
	site->test_status = 0;
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
	CHECK(site_serves(site->cert));
}

static void
a_failed_reload_gives_the_operators_files_back(void)
{
	begin(SITE_FAR_AWAY);
	site->reload_status = 1;
	site_deploy("1");
	CHECK(strstr(site_error(), "the reload (/usr/sbin/nginx) ended"));
	CHECK(strstr(site_error(), "the reload after swapping back"));
	CHECK(is_as_before());
	CHECK(site_serves(old_cert));
}

static void
an_unproven_pair_is_swapped_back_and_that_is_proven(void)
{
	const struct rig_request *told;

	begin(SITE_FAR_AWAY);
	site->deaf_from = 1;
	site_deploy("1");
	CHECK(strstr(site_error(), "still serves another certificate"));
	CHECK(strstr(site_error(), site_fingerprint(old_cert)));
	CHECK(!strstr(site_error(), "swapped back, but"));
	CHECK(is_as_before());
	CHECK_INT(site->reloads, 2);
	/* ten tries forward, and two in a row for the way back */
	CHECK_INT(site->handshakes, 12);
	told = rig_last("POST", "/api/v1/jobs/");
	CHECK(told && strstr(told->body, "\"verified\":false"));
	CHECK(strstr(told->body, site_fingerprint(old_cert)));
}

static void
a_way_back_that_shows_something_else_is_told(void)
{
	const char *other, *key;

	begin(SITE_FAR_AWAY);
	sandbox_pair(SITE_FAR_AWAY, &other, &key);
	sandbox_put("served", site_fingerprint(other));
	site->deaf_from = 1;
	site_deploy("1");
	CHECK(strstr(site_error(), "swapped back, but 127.0.0.1:4443 does not "
				   "serve the pair before it either: "));
	CHECK(strstr(site_error(), site_fingerprint(other)));
	CHECK(is_as_before());
	begin(SITE_FAR_AWAY);
	site->is_down = true;
	site_deploy("1");
	CHECK(strstr(site_error(), "no TLS handshake with 127.0.0.1:4443"));
	CHECK(strstr(site_error(), "either: nobody listens"));
	CHECK(is_as_before());
}

/* Expired files of the operator's come back as long as the server was not
 * told to load anything else. */
static void
an_expired_pair_comes_back_only_unloaded(void)
{
	begin(SITE_LONG_AGO);
	site->test_status = 1;
	site_deploy("1");
	CHECK(is_as_before());
	begin(SITE_LONG_AGO);
	site->deaf_from = 1;
	site_deploy("1");
	CHECK(strstr(site_error(), "missing or expired, " STAYS));
	CHECK(site_shows(site->cert, site->key));
	CHECK(!sandbox_has("etc/.certctl-orig-site.key"));
	begin_renewal(SITE_LONG_AGO, false);
	site->test_status = 1;
	site_deploy("2");
	CHECK(strstr(site_error(), "missing or expired, " STAYS));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
}

static void
a_first_pair_that_fails_its_test_goes_again(void)
{
	site = site_new(true);
	site_issue("1", SITE_FAR_AWAY, "[]");
	site->test_status = 1;
	site_deploy("1");
	CHECK(strstr(site_error(), "the new pair was taken away again"));
	CHECK(!sandbox_has("etc/site.crt") && !sandbox_has("etc/site.key"));
	CHECK(!sandbox_has(CURRENT));
}

static void
the_version_before_comes_back(void)
{
	begin_renewal(SITE_FAR_AWAY, false);
	site->test_status = 1;
	site_deploy("2");
	CHECK(site_shows(old_cert, old_key) && site_serves(old_cert));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
	begin_renewal(SITE_FAR_AWAY, false);
	site->deaf_from = 1;
	site_deploy("2");
	CHECK(site_shows(old_cert, old_key) && site_serves(old_cert));
	CHECK_INT(site->handshakes, 12);
}

static void
a_revoked_pair_never_comes_back(void)
{
	char list[80];

	begin_renewal(SITE_FAR_AWAY, true);
	site->test_status = 1;
	site_deploy("2");
	CHECK(strstr(site_error(), "revoked, " STAYS));
	CHECK(site_shows(site->cert, site->key));
	begin_renewal(SITE_FAR_AWAY, true);
	site->deaf_from = 1;
	site_deploy("2");
	CHECK(strstr(site_error(), "revoked, " STAYS));
	CHECK(site_shows(site->cert, site->key));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
	/* nor the operator's, where it is one of ours by another way */
	site = site_new(true);
	sandbox_pair(SITE_FAR_AWAY, &old_cert, &old_key);
	site_stand(old_cert, old_key);
	snprintf(list, sizeof(list), "[\"%s\"]", site_fingerprint(old_cert));
	site_issue("1", SITE_FAR_AWAY, list);
	site->test_status = 1;
	site_deploy("1");
	CHECK(strstr(site_error(), "revoked, " STAYS));
	CHECK(site_shows(site->cert, site->key));
	CHECK(!sandbox_has("etc/.certctl-orig-site.key"));
}

/* Cut off after the switch, and picked up again from a server that lists no
 * revoked pairs, or resumed without one: it stays known. */
static void
what_was_revoked_stays_known(void)
{
	begin_renewal(SITE_FAR_AWAY, true);
	site->die_at = "agent.install.switched";
	site_deploy_killed("2");
	CHECK_INT(sandbox_count("state/journal"), 1);
	site->test_status = 1;
	site_restart();
	CHECK(strstr(site_error(), "revoked, " STAYS));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
}

/* As an op leaves it whose time was up: its journal open, the job given
 * again in the same life. */
static void
in_an_unfinished_install(const char *version, const char *listed, int status)
{
	begin_renewal(SITE_FAR_AWAY, true);
	site->die_at = "agent.install.switched";
	site_deploy_killed("2");
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
	/* The journal is not there while the agent starts, so that it does not
	 * go on with it. */
	CHECK(rename(sandbox_path("state/journal/t-1.json"),
		  sandbox_path("kept.json")) == 0);
	site_restart();
	CHECK(rename(sandbox_path("kept.json"),
		  sandbox_path("state/journal/t-1.json")) == 0);
	site_issue(version, SITE_FAR_AWAY, listed);
	site->test_status = status;
	site_deploy_now(version);
}

static void
a_repeated_pickup_keeps_what_was_known(void)
{
	in_an_unfinished_install("2", NULL, 1);
	CHECK(strstr(site_error(), "revoked, " STAYS));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
	/* nor does the next version go back to it */
	in_an_unfinished_install("3", NULL, 1);
	CHECK(strstr(site_error(), "revoked, " STAYS));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-3");
}

/* Before the configuration test nothing is known of the new pair, and the
 * pair before it is what one goes back to, or does not. */
static void
a_switch_that_fails_goes_back_likewise(void)
{
	is_switch_failing = true;
	begin(SITE_FAR_AWAY);
	site_deploy("1");
	CHECK_STR(site_error(), "cannot sync");
	CHECK(is_as_before());
	CHECK_INT(site->tests, 0);
	is_switch_failing = false;
	begin_renewal(SITE_FAR_AWAY, false);
	is_switch_failing = true;
	site_deploy("2");
	CHECK_STR(site_error(), "cannot sync");
	CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
	is_switch_failing = false;
	begin_renewal(SITE_FAR_AWAY, true);
	is_switch_failing = true;
	site_deploy("2");
	CHECK_STR(site_error(),
	    "cannot sync; the pair before it is revoked, " STAYS);
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
	is_switch_failing = false;
	begin_renewal(SITE_LONG_AGO, false);
	is_switch_failing = true;
	site_deploy("2");
	CHECK(strstr(site_error(), "missing or expired, " STAYS));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
	is_switch_failing = false;
}

/* A resumed install switches again before its test. */
static void
a_resumed_switch_that_fails_goes_back_likewise(void)
{
	begin(SITE_FAR_AWAY);
	site->die_at = "agent.install.switched";
	site_deploy_killed("1");
	is_switch_failing = true;
	site_restart();
	CHECK_STR(site_error(), "cannot sync");
	CHECK(is_as_before());
	is_switch_failing = false;
	begin_renewal(SITE_FAR_AWAY, true);
	site->die_at = "agent.install.switched";
	site_deploy_killed("2");
	is_switch_failing = true;
	site_restart();
	CHECK(strstr(site_error(), "revoked, " STAYS));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-2");
	is_switch_failing = false;
}

/* Killed on the way back: the next run tries the new pair once more, and
 * where that fails again, goes the same way back. */
static void
a_death_on_the_way_back_is_made_good(void)
{
	static const char *const points[] = {"agent.install.tested",
	    "agent.install.given_back", "agent.install.swapped_back",
	    "agent.report.before"};

	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		begin(SITE_FAR_AWAY);
		site->test_status = 1;
		site->die_at = points[i];
		site_deploy_killed("1");
		CHECK(site_shows(old_cert, old_key) ||
		      site_shows(site->cert, site->key));
		CHECK(site_serves(old_cert));
		site_restart();
		CHECK_STR(site_status(), "Failed");
		CHECK(is_as_before());
	}
}

/* Told to load it, and killed: the way back is proven although this run has
 * loaded nothing. */
static void
what_was_loaded_before_a_death_is_known(void)
{
	begin(SITE_FAR_AWAY);
	site->die_at = "agent.install.reloaded";
	site_deploy_killed("1");
	CHECK(site_serves(site->cert));
	site->test_status = 1;
	site_restart();
	CHECK_STR(site_status(), "Failed");
	CHECK(is_as_before());
	CHECK(site_serves(old_cert));
	CHECK_INT(site->handshakes, 2);
	begin(SITE_LONG_AGO);
	site->die_at = "agent.install.reloaded";
	site_deploy_killed("1");
	site->test_status = 1;
	site_restart();
	CHECK(strstr(site_error(), "missing or expired, " STAYS));
	CHECK(site_shows(site->cert, site->key));
}

CHECK_MAIN(CHECK_ROW(a_failed_test_gives_the_operators_files_back),
    CHECK_ROW(a_failed_reload_gives_the_operators_files_back),
    CHECK_ROW(an_unproven_pair_is_swapped_back_and_that_is_proven),
    CHECK_ROW(a_way_back_that_shows_something_else_is_told),
    CHECK_ROW(an_expired_pair_comes_back_only_unloaded),
    CHECK_ROW(a_first_pair_that_fails_its_test_goes_again),
    CHECK_ROW(the_version_before_comes_back),
    CHECK_ROW(a_revoked_pair_never_comes_back),
    CHECK_ROW(what_was_revoked_stays_known),
    CHECK_ROW(a_repeated_pickup_keeps_what_was_known),
    CHECK_ROW(a_switch_that_fails_goes_back_likewise),
    CHECK_ROW(a_resumed_switch_that_fails_goes_back_likewise),
    CHECK_ROW(a_death_on_the_way_back_is_made_good),
    CHECK_ROW(what_was_loaded_before_a_death_is_known))
