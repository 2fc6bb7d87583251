/*
 * test_deploy: one version onto one target: put in place, tested, loaded,
 * proven and told; and wherever it is killed, the next run brings it to its
 * end.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/poll.h"
#include "agent/stop.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/agent/site.h"
#include "tests/unit/check.h"

#define STATUS "/api/v1/agents/a-1/jobs/"
#define VERIFY "/api/v1/jobs/"
#define CURRENT "etc/.certctl-site.crt/current"

static struct site *site;
static const char *old_cert, *old_key;

/* A target that serves a pair of the operator's, and a new one issued. */
static void
begin(void)
{
	site = site_new(true);
	sandbox_pair(SITE_FAR_AWAY, &old_cert, &old_key);
	site_stand(old_cert, old_key);
	CHECK(chmod(sandbox_path("etc/site.key"), 0640) == 0);
	site_issue("1", SITE_FAR_AWAY, "[]");
}

static bool
is_new_in_service(void)
{
	return site_shows(site->cert, site->key) && site_serves(site->cert) &&
	       sandbox_count("state/journal") == 0 &&
	       !sandbox_has("etc/.certctl-orig-site.crt") &&
	       !sandbox_has("etc/.certctl-orig-site.key");
}

static void
a_new_pair_is_tested_loaded_proven_and_told(void)
{
	const struct rig_request *proof;

	begin();
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
	CHECK_STR(site_error(), "");
	CHECK(is_new_in_service());
	CHECK_INT(site->tests, 1);
	CHECK_INT(site->reloads, 1);
	CHECK_INT(site->handshakes, 2);
	CHECK_INT(sandbox_mode("etc/site.key"), 0640);
	CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
	CHECK_INT(rig_count("POST", VERIFY), 1);
	proof = rig_last("POST", VERIFY);
	CHECK(strstr(proof->body, site_fingerprint(site->cert)));
	CHECK(strstr(proof->body, "\"verified\":true"));
	CHECK_INT(rig_count("POST", STATUS), 1);
}

static void
a_first_pair_goes_where_nothing_stood(void)
{
	site = site_new(true);
	site_issue("1", SITE_FAR_AWAY, "[]");
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
	CHECK(is_new_in_service());
	CHECK_INT(sandbox_mode("etc/site.key"), 0600);
}

static void
without_a_host_nothing_is_proven(void)
{
	site = site_new(false);
	site_issue("1", SITE_FAR_AWAY, "[]");
	site->is_down = true;
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
	CHECK(is_new_in_service());
	CHECK_INT(rig_count("POST", VERIFY), 0);
}

static void
a_version_that_is_there_is_deployed_again(void)
{
	begin();
	site_deploy("1");
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
	CHECK(is_new_in_service());
	CHECK_INT(rig_count("POST", STATUS), 2);
	/* and where it then fails, it stays: nothing is known to be better */
	site->test_status = 1;
	site_deploy("1");
	CHECK_STR(site_status(), "Failed");
	CHECK(site_shows(site->cert, site->key));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
}

static void
renewals_follow_each_other(void)
{
	char version[8];

	begin();
	for (int i = 1; i <= 6; i++) {
		snprintf(version, sizeof(version), "%d", i);
		site_issue(version, SITE_FAR_AWAY, "[]");
		site_deploy(version);
		CHECK_STR(site_status(), "Completed");
		CHECK(is_new_in_service());
	}
	CHECK(sandbox_count("etc/.certctl-site.crt/v") <= 5);
	CHECK(sandbox_has("state/keys/job-6.key"));
	CHECK(!sandbox_has("state/keys/job-1.key"));
}

/* Version i, with the mark of a request i seconds after the first. */
static void
issue_marked(int i)
{
	const struct timespec times[2] = {{.tv_sec = 1700000000 + i},
	    {.tv_sec = 1700000000 + i}};
	char version[8], mark[40];

	snprintf(version, sizeof(version), "%d", i);
	snprintf(mark, sizeof(mark), "state/keys/job-%d.csr", i);
	site_issue(version, SITE_FAR_AWAY, "[]");
	sandbox_put(mark, "mc-1\na request");
	CHECK(utimensat(AT_FDCWD, sandbox_path(mark), times, 0) == 0);
}

static void
deploy_marked(int i)
{
	char version[8];

	snprintf(version, sizeof(version), "%d", i);
	issue_marked(i);
	site_deploy(version);
}

/* However often: what is in service, what the retry needs, and no more. */
static void
failures_leave_a_bounded_number_of_pairs_and_keys(void)
{
	const char *good_cert, *good_key;

	begin();
	deploy_marked(1);
	CHECK_STR(site_status(), "Completed");
	good_cert = site->cert;
	good_key = site->key;
	for (int i = 2; i <= 9; i++) {
		site->test_status = i % 2;
		site->reload_status = 1 - i % 2;
		deploy_marked(i);
		CHECK_STR(site_status(), "Failed");
		CHECK(site_shows(good_cert, good_key));
		CHECK(sandbox_count("etc/.certctl-site.crt/v") <= 5);
	}
	CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
	CHECK(sandbox_has("state/keys/job-1.key")); /* of what is current */
	CHECK(!sandbox_has("state/keys/job-2.key"));
	CHECK(!sandbox_has("state/keys/job-6.csr"));
	/* a key and a hold of each that stands, and the newest's mark */
	CHECK(sandbox_count("state/keys") <= 11);
	/* where nothing is staged, keys of what came to nothing go as well */
	CHECK(unlink(sandbox_path("etc/site.key")) == 0);
	CHECK(symlink("nowhere", sandbox_path("etc/site.key")) == 0);
	for (int i = 10; i <= 19; i++)
		deploy_marked(i);
	CHECK_STR(site_status(), "Failed");
	CHECK(sandbox_count("state/keys") <= 13);
	CHECK(!sandbox_has("state/keys/job-18.key"));
	CHECK(unlink(sandbox_path("etc/site.key")) == 0);

	site->test_status = site->reload_status = 0;
	site_deploy("19");
	CHECK_STR(site_status(), "Completed");
	CHECK(is_new_in_service());
	CHECK(!sandbox_has("state/keys/job-19.csr"));
}

/* Killed anywhere in a failure, the next one removes what that left. */
static void
deaths_in_failures_leave_no_more(void)
{
	static const char *const points[] = {"agent.install.written",
	    "agent.install.staged", "agent.install.switched",
	    "agent.install.tested", "agent.install.swapped_back",
	    "agent.report.before", "agent.report.after",
	    "agent.install.pruned"};

	begin();
	deploy_marked(1);
	site->test_status = 1;
	for (int i = 2; i < 2 + 2 * (int)ARRAY_LEN(points); i++) {
		char version[8];

		snprintf(version, sizeof(version), "%d", i);
		issue_marked(i);
		site->die_at = points[(size_t)i % ARRAY_LEN(points)];
		site->die_nth = 1;
		site_deploy_killed(version);
		CHECK(sandbox_link(CURRENT) != NULL);
	}
	deploy_marked(99);
	CHECK_STR(site_status(), "Failed");
	CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
	CHECK(sandbox_count("etc/.certctl-site.crt/v") <= 5);
	CHECK(sandbox_count("state/keys") <= 11);
	site->test_status = 0;
	site_deploy("99");
	CHECK_STR(site_status(), "Completed");
	CHECK(is_new_in_service());
}

static void
a_reload_that_fails_is_tried_again(void)
{
	begin();
	site->reload_status = 1;
	site_deploy("1");
	/* three times, and once more after going back */
	CHECK_INT(site->reloads, 4);
	CHECK(strstr(site_error(), "the reload (/usr/sbin/nginx) ended with "
				   "status 1: words of the program"));
}

/* What cannot be deployed changes nothing, and says why. */
static void
what_the_server_answers_is_checked(void)
{
	const char *cert, *key;

	begin();
	rig_answer("GET", "/api/v1/agents/a-1/certificates/", 404,
	    "{\"message\":\"no such job\"}", 0);
	site_deploy("1");
	CHECK(strstr(site_error(), "no such job"));
	rig_answer("GET", "/api/v1/agents/a-1/certificates/", 200,
	    "{\"certificate_pem\":\"nonsense\"}", 0);
	site_deploy("1");
	CHECK(strstr(site_error(), "is not readable"));
	rig_answer("GET", "/api/v1/agents/a-1/certificates/", 200, "[]", 0);
	site_deploy("1");
	CHECK(strstr(site_error(), "holds no certificate"));
	site_issue("2", SITE_FAR_AWAY, "[]");
	sandbox_pair(SITE_FAR_AWAY, &cert, &key);
	sandbox_put("state/keys/job-2.key", key);
	site_deploy("2");
	CHECK(strstr(site_error(), "is not for the key this agent holds"));
	CHECK(unlink(sandbox_path("state/keys/job-2.key")) == 0);
	site_deploy("2");
	CHECK(strstr(site_error(), "holds no private key"));
	CHECK(site_shows(old_cert, old_key) && site_serves(old_cert));
	CHECK_INT(site->tests, 0);
	CHECK_INT(sandbox_count("etc"), 2);
}

/* A process that stood still meets the end of the wait before the answer. */
static void
an_answer_that_comes_too_late_is_asked_for_again(void)
{
	begin();
	rig_answer("GET", "/api/v1/agents/a-1/certificates/", 200, "{}", 90000);
	site_deploy("1");
	rig_pass(120000);
	CHECK(rig_count("GET", "/api/v1/agents/a-1/certificates/") >= 2);
	CHECK_INT(rig_count("POST", STATUS), 0);
	CHECK(site_shows(old_cert, old_key));
}

static void
a_host_that_forbids_it_stays_as_it_is(void)
{
	static const char *const none[] = {NULL};

	begin();
	site->agent->allow.dirs = none;
	site_deploy("1");
	CHECK(strstr(site_error(), "this host does not allow cert_path"));
	CHECK(site_shows(old_cert, old_key));
	CHECK_INT(sandbox_count("etc"), 2);
	CHECK_INT(site->tests + site->reloads, 0);
	CHECK_INT(rig_count("GET", "/api/v1/agents/a-1/certificates/"), 0);
}

/* Before anything is made beside it. */
static void
what_is_no_pair_is_refused_untouched(void)
{
	begin();
	CHECK(unlink(sandbox_path("etc/site.key")) == 0);
	site_deploy("1");
	CHECK_STR(site_status(), "Failed");
	CHECK(strstr(site_error(), "there is no pair to go back to"));
	CHECK_STR(sandbox_get("etc/site.crt"), old_cert);
	CHECK_INT(sandbox_count("etc"), 1);
	CHECK_INT(sandbox_count("state/keys"), 1);
	CHECK_INT(site->tests + site->reloads, 0);
}

/* As install_owner_check says; what is another's stays as it is. */
static void
a_file_of_another_certificate_is_refused_untouched(void)
{
	site = site_new(true);
	site_issue("1", SITE_FAR_AWAY, "[]");
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
	sandbox_put("etc/.certctl-site.crt/owner", "mc-2\n/linked/site.crt\n");
	site_issue("2", SITE_FAR_AWAY, "[]");
	site_deploy("2");
	CHECK_STR(site_status(), "Failed");
	CHECK(strstr(site_error(), "is the same file as /linked/site.crt"));
	CHECK(!sandbox_has("etc/.certctl-site.crt/v/certver-2"));
	CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
	CHECK_INT(site->reloads, 1);
}

static void
a_key_of_another_certificate_is_refused_untouched(void)
{
	const char *link;

	begin();
	CHECK(unlink(sandbox_path("etc/site.key")) == 0);
	link = sandbox_path("etc/.certctl-b.crt/current/privkey.pem");
	CHECK(symlink(link, sandbox_path("etc/site.key")) == 0);
	CHECK(mkdir(sandbox_path("etc/.certctl-b.crt"), 0755) == 0);
	CHECK(mkdir(sandbox_path("etc/.certctl-b.crt/current"), 0755) == 0);
	sandbox_put("etc/.certctl-b.crt/current/privkey.pem", old_key);
	sandbox_put("etc/.certctl-b.crt/owner",
	    "mc-2\n/linked/b.crt\n/linked/site.key\n\n");
	site_deploy("1");
	CHECK_STR(site_status(), "Failed");
	CHECK(strstr(site_error(), "is the same file as /linked/site.key"));
	CHECK(site_shows(old_cert, old_key));
	CHECK_STR(sandbox_link("etc/site.key"), link);
	CHECK_INT(site->tests + site->reloads, 0);
}

static void
doubt_is_met_by_asking_again(void)
{
	begin();
	rig_answer("POST", VERIFY, 503, "{}", 0);
	site_deploy("1");
	CHECK(rig_count("POST", VERIFY) > 5);
	CHECK_INT(rig_count("POST", STATUS), 0);
	CHECK_INT(sandbox_count("state/journal"), 1);
	rig_answer("POST", VERIFY, 409, "{}", 0);
	rig_answer("POST", STATUS, 500, "{}", 0);
	rig_pass(40000);
	CHECK(rig_count("POST", STATUS) > 3);
	CHECK_INT(sandbox_count("state/journal"), 1);
	rig_answer("POST", STATUS, 200, "{}", 0);
	rig_pass(40000);
	CHECK_STR(site_status(), "Completed");
	CHECK(is_new_in_service());
	CHECK_INT(site->reloads, 1);
}

/* Its journal stays open for whoever comes after it. */
static void
a_retirement_in_the_middle_leaves_the_journal(void)
{
	begin();
	rig_answer("POST", VERIFY, 410, "{}", 0);
	site_deploy("1");
	CHECK(site->agent->is_retired);
	CHECK_INT(rig_count("POST", STATUS), 0);
	CHECK_INT(sandbox_count("state/journal"), 1);
	CHECK(site_shows(site->cert, site->key));
	site->agent->is_retired = site->agent->is_stopping = false;
	rig_answer("POST", VERIFY, 200, "{}", 0);
	site_restart();
	CHECK_STR(site_status(), "Completed");
	CHECK(is_new_in_service());
}

static void
a_stop_while_it_is_proven_leaves_the_journal(void)
{
	begin();
	site->is_down = true;
	rig_answer("POST", VERIFY, 503, "{}", 0);
	site_deploy("1");
	stop_begin(site->agent, 0);
	rig_pass(60000);
	CHECK(poll_is_idle(site->agent->poll));
	CHECK_INT(sandbox_count("state/journal"), 1);
	CHECK_INT(rig_count("POST", STATUS), 0);
}

static void
killed_at(const char *point, int nth)
{
	begin();
	site->die_at = point;
	site->die_nth = nth;
	site_deploy_killed("1");
	CHECK(
	    site_shows(old_cert, old_key) || site_shows(site->cert, site->key));
	CHECK(site_serves(old_cert) || site_serves(site->cert));
}

static const struct {
	const char *point;
	int nth;
} deaths[] = {
    {"agent.install.written", 1},
    {"agent.install.written", 2},
    {"agent.install.copied", 1},
    {"agent.install.linked", 1},
    {"agent.install.linked", 2},
    {"agent.install.staged", 1},
    {"agent.install.journalled", 1},
    {"agent.install.switched", 1},
    {"agent.install.tested", 1},
    {"agent.install.reloaded", 1},
    {"agent.install.proved", 1},
    {"agent.report.before", 1},
    {"agent.report.after", 1},
};

static void
a_death_anywhere_is_made_good_by_the_next_run(void)
{
	for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
		killed_at(deaths[i].point, deaths[i].nth);
		/* the server lists it again as long as it knows of no end */
		site_deploy("1");
		CHECK_STR(site_status(), "Completed");
		CHECK(is_new_in_service());
		CHECK_STR(sandbox_link(CURRENT), "v/certver-1");
	}
}

/* The same with the server away: the journal alone, where there is one. */
static void
a_journal_is_resumed_without_the_server(void)
{
	for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
		killed_at(deaths[i].point, deaths[i].nth);
		rig_answer("GET", "/api/v1/agents/a-1/certificates/", 0, "", 0);
		if (sandbox_count("state/journal") == 0) {
			site_restart();
			CHECK(site_serves(old_cert));
			continue;
		}
		site_restart();
		CHECK_STR(site_status(), "Completed");
		CHECK(is_new_in_service());
	}
}

static void
a_journal_that_is_no_journal_is_removed(void)
{
	begin();
	sandbox_put("state/journal/t-1.json", "{\"job\":\"job-1\"");
	site_restart();
	CHECK_INT(sandbox_count("state/journal"), 0);
	CHECK(site_shows(old_cert, old_key));
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
}

CHECK_MAIN(CHECK_ROW(a_new_pair_is_tested_loaded_proven_and_told),
    CHECK_ROW(a_first_pair_goes_where_nothing_stood),
    CHECK_ROW(without_a_host_nothing_is_proven),
    CHECK_ROW(a_version_that_is_there_is_deployed_again),
    CHECK_ROW(renewals_follow_each_other),
    CHECK_ROW(failures_leave_a_bounded_number_of_pairs_and_keys),
    CHECK_ROW(deaths_in_failures_leave_no_more),
    CHECK_ROW(a_reload_that_fails_is_tried_again),
    CHECK_ROW(what_the_server_answers_is_checked),
    CHECK_ROW(an_answer_that_comes_too_late_is_asked_for_again),
    CHECK_ROW(a_host_that_forbids_it_stays_as_it_is),
    CHECK_ROW(what_is_no_pair_is_refused_untouched),
    CHECK_ROW(a_file_of_another_certificate_is_refused_untouched),
    CHECK_ROW(a_key_of_another_certificate_is_refused_untouched),
    CHECK_ROW(doubt_is_met_by_asking_again),
    CHECK_ROW(a_retirement_in_the_middle_leaves_the_journal),
    CHECK_ROW(a_stop_while_it_is_proven_leaves_the_journal),
    CHECK_ROW(a_death_anywhere_is_made_good_by_the_next_run),
    CHECK_ROW(a_journal_is_resumed_without_the_server),
    CHECK_ROW(a_journal_that_is_no_journal_is_removed))
