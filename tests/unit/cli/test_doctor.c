/*
 * test_doctor: the judgements of certctl doctor, over facts.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

#include "cli/cli.h"
#include "cli/doctor/api.h"
#include "cli/doctor/database.h"
#include "cli/doctor/files.h"
#include "cli/doctor/host.h"
#include "cli/doctor/settings.h"

static struct doctor d;

static void
begin(void)
{
	arena_free(d.arena);
	d = (struct doctor){.arena = arena_new()};
}

static const struct cJSON *
parsed(const char *text)
{
	const struct cJSON *json;
	const char *why;

	CHECK(json_parse(d.arena, text, strlen(text), &json, &why) == RC_OK);
	return json;
}

/* The level of the finding that was said last. */
static enum doctor_level
last(void)
{
	CHECK(d.n > 0);
	return d.findings[d.n - 1].level;
}

/* --- the server --- */

static void
clocks_may_differ_by_seconds(void)
{
	static const struct {
		int64_t theirs;
		enum doctor_level level;
	} rows[] = {{1000, DOCTOR_OK}, {1002, DOCTOR_OK}, {998, DOCTOR_OK},
	    {1010, DOCTOR_WARNING}, {990, DOCTOR_WARNING}, {1100, DOCTOR_ERROR},
	    {900, DOCTOR_ERROR}};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		doctor_check_clock(&d, DOCTOR_clock_server, "x", rows[i].theirs,
		    999, 1001);
		CHECK_INT(last(), rows[i].level);
	}
	/* A slow answer tells less of the clock, and nothing wrong. */
	doctor_check_clock(&d, DOCTOR_clock_server, "x", 1050, 1000, 1090);
	CHECK_INT(last(), DOCTOR_OK);
}

static void
ends_are_told_in_time(void)
{
	const int64_t day = 86400;

	begin();
	doctor_check_end(&d, DOCTOR_api_certificate, "x", 0, 90 * day, 10);
	CHECK_INT(last(), DOCTOR_OK);
	doctor_check_end(&d, DOCTOR_api_certificate, "x", 0, 90 * day,
	    80 * day);
	CHECK_INT(last(), DOCTOR_WARNING);
	doctor_check_end(&d, DOCTOR_api_certificate, "x", 0, 2 * day, day);
	CHECK_INT(last(), DOCTOR_OK);
	doctor_check_end(&d, DOCTOR_api_certificate, "x", 0, day, day);
	CHECK_INT(last(), DOCTOR_ERROR);
}

static void
releases_are_compared(void)
{
	const struct cJSON *one;

	begin();
	one = parsed("{\"workers\":[{\"name\":\"w\","
		     "\"alive\":true,\"version\":\"2\"},"
		     "{\"alive\":false,\"version\":\"0\"}]"
		     "}");

	doctor_check_versions(&d, "2", "2", parsed("{}"));
	CHECK_INT(last(), DOCTOR_OK);
	doctor_check_versions(&d, "1", "1", one);
	CHECK_INT(doctor_count(&d, DOCTOR_WARNING), 1);
	CHECK_STR(d.findings[d.n - 1].subject, "w");
	doctor_check_versions(&d, "1", "2", one);
	CHECK_STR(d.findings[d.n - 1].subject, "certctl");
}

static void
one_of_each_is_the_least(void)
{
	begin();
	doctor_check_processes(&d,
	    parsed("{\"leader\":{\"name\":\"s\",\"expires_in_ms\":900},"
		   "\"apiservers\":[{\"alive\":true}],"
		   "\"schedulers\":[{\"alive\":true},{\"alive\":true}],"
		   "\"workers\":[{\"alive\":false}]}"));
	CHECK_INT(doctor_count(&d, DOCTOR_OK), 3);
	CHECK_INT(last(), DOCTOR_ERROR);
	CHECK_STR(d.findings[d.n - 1].what, "no worker lives");
	doctor_check_processes(&d, parsed("{}"));
	CHECK_INT(doctor_count(&d, DOCTOR_ERROR), 5);
}

static void
conditions_are_findings_with_their_advice(void)
{
	begin();
	doctor_check_conditions(&d,
	    parsed("{\"data\":[{\"name\":\"no_worker\",\"severity\":"
		   "\"critical\",\"what\":\"no worker lives\",\"subject\":\"\","
		   "\"detail\":\"x\",\"advice\":\"Start one.\"},"
		   "{\"severity\":\"warning\",\"name\":\"w\"},"
		   "{\"severity\":\"notice\",\"name\":\"n\"}]}"));
	CHECK_INT(d.n, 2);
	CHECK_INT(d.findings[0].level, DOCTOR_ERROR);
	CHECK_STR(d.findings[0].fix, "Start one.");
	CHECK_INT(d.findings[1].level, DOCTOR_WARNING);
	doctor_check_conditions(&d, parsed("{\"data\":[]}"));
	CHECK_INT(last(), DOCTOR_OK);
}

static void
silent_agents_are_named_and_counted(void)
{
	begin();
	doctor_check_agents(&d, parsed("{\"total\":0,\"data\":[]}"),
	    parsed("{\"data\":[]}"));
	CHECK_INT(last(), DOCTOR_OK);
	doctor_check_agents(&d,
	    parsed("{\"total\":1,\"data\":[{\"id\":\"agent-1\"}]}"),
	    parsed("{\"data\":[]}"));
	CHECK_INT(last(), DOCTOR_WARNING);
	CHECK_STR(d.findings[d.n - 1].subject, "agent-1");
	doctor_check_agents(&d, parsed("{}"), parsed("{}"));
	CHECK_INT(last(), DOCTOR_UNSEEN);
	doctor_check_agents(&d, parsed("{\"total\":0,\"data\":[]}"),
	    parsed("{\"data\":[{\"id\":\"agent-2\","
		   "\"registered_at\":\"2026-01-01T00:00:00Z\","
		   "\"last_heartbeat_at\":\"2026-01-01T00:00:00Z\"}]}"));
	CHECK_INT(last(), DOCTOR_WARNING);
	CHECK_STR(d.findings[d.n - 1].subject, "agent-2");
	CHECK(strstr(d.findings[d.n - 1].what, "has not reported yet"));
	doctor_check_ready(&d, 200, parsed("{\"db_warning\":\"old\"}"));
	CHECK_INT(last(), DOCTOR_WARNING);
	doctor_check_ready(&d, 503, NULL);
	CHECK_INT(last(), DOCTOR_ERROR);
	doctor_check_database_version(&d,
	    parsed("{\"database\":{\"version\":\"14.2\"}}"));
	CHECK_INT(last(), DOCTOR_ERROR);
}

/* --- files --- */

static void
keys_are_their_owners_alone(void)
{
	static const struct {
		mode_t mode;
		enum doctor_level level;
	} rows[] = {{S_IFREG | 0600, DOCTOR_OK}, {S_IFREG | 0400, DOCTOR_OK},
	    {S_IFREG | 0640, DOCTOR_WARNING}, {S_IFREG | 0660, DOCTOR_ERROR},
	    {S_IFREG | 0604, DOCTOR_ERROR}, {S_IFDIR | 0700, DOCTOR_ERROR}};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		files_judge_key(&d, "p", "X_KEY", "/k", rows[i].mode);
		CHECK_INT(last(), rows[i].level);
	}
	files_judge_directory(&d, "p", "X_DIR", "/d", S_IFDIR | 0755, false);
	CHECK_INT(last(), DOCTOR_OK);
	files_judge_directory(&d, "p", "X_DIR", "/d", S_IFDIR | 0775, false);
	CHECK_INT(last(), DOCTOR_WARNING);
	files_judge_directory(&d, "p", "X_DIR", "/d", S_IFDIR | 0750, true);
	CHECK_INT(last(), DOCTOR_ERROR);
}

static void
disks_have_room(void)
{
	const uint64_t gib = 1024ull * 1024 * 1024;

	begin();
	files_judge_disk(&d, "/d", 50 * gib, 100 * gib, 1000, 2000);
	CHECK_INT(last(), DOCTOR_OK);
	files_judge_disk(&d, "/d", 5 * gib, 100 * gib, 0, 0);
	CHECK_INT(last(), DOCTOR_WARNING);
	files_judge_disk(&d, "/d", gib, 100 * gib, 0, 0);
	CHECK_INT(last(), DOCTOR_ERROR);
	files_judge_disk(&d, "/d", gib / 100, gib / 50, 0, 0);
	CHECK_INT(last(), DOCTOR_ERROR);
	files_judge_disk(&d, "/d", 50 * gib, 100 * gib, 1, 2000);
	CHECK_INT(last(), DOCTOR_ERROR);
}

/* --- the database --- */

static const struct database_facts good = {.role = "certctl_worker",
    .reads_ca_keys = true,
    .knows_jobs = true,
    .version = 150004,
    .fsync = true,
    .full_page_writes = true,
    .synchronous_commit = "on",
    .idle_timeout_ms = 60000,
    .max_connections = 100,
    .now = 1000};

static size_t
errors_of(enum host_role role, const struct database_facts *f)
{
	begin();
	database_judge_role(&d, role, "p", f);
	database_judge_server(&d, "p", f, 1000, 1000);
	return doctor_count(&d, DOCTOR_ERROR);
}

static void
roles_have_what_they_need_and_no_more(void)
{
	struct database_facts f = good;

	CHECK_INT(errors_of(HOST_WORKER, &f), 0);
	CHECK_INT(doctor_count(&d, DOCTOR_WARNING), 0);
	CHECK_INT(errors_of(HOST_APISERVER, &f), 1);
	f.reads_ca_keys = false;
	CHECK_INT(errors_of(HOST_APISERVER, &f), 0);
	CHECK_INT(errors_of(HOST_WORKER, &f), 1);
	f.is_superuser = true;
	CHECK_INT(errors_of(HOST_APISERVER, &f), 1);
	f.is_superuser = false;
	f.may_create = true;
	CHECK_INT(errors_of(HOST_APISERVER, &f), 1);
	f.may_create = f.knows_jobs = false;
	CHECK_INT(errors_of(HOST_SCHEDULER, &f), 1);
}

static void
answers_must_be_durable(void)
{
	struct database_facts f = good;

	f.fsync = false;
	CHECK_INT(errors_of(HOST_WORKER, &f), 1);
	f = good;
	f.synchronous_commit = "off";
	CHECK_INT(errors_of(HOST_WORKER, &f), 1);
	f = good;
	f.idle_timeout_ms = 0;
	CHECK_INT(errors_of(HOST_WORKER, &f), 0);
	CHECK_INT(doctor_count(&d, DOCTOR_WARNING), 1);
	f = good;
	f.version = 140009;
	f.now = 2000;
	CHECK_INT(errors_of(HOST_WORKER, &f), 2);
}

/* --- settings --- */

static struct host_process
process(enum host_role role, const char *name, char **env)
{
	return (struct host_process){.role = role, .name = name, .env = env};
}

static void
settings_are_read_as_their_program_does(void)
{
	static char *agent_env[] = {"CERTCTL_AGENT_HEARTBEAT_INTERVAL=2m",
	    "CERTCTL_AGENT_STATE_DIRR=/x", NULL};
	static char *bad_env[] = {"CERTCTL_AGENT_PARALLEL=many", NULL};
	static char *scheduler_env[] = {"CERTCTL_DATABASE_URL=postgresql:///x",
	    "CERTCTL_BUS_LISTEN_URL=ipc:///x", NULL};
	struct host_process all[] = {process(HOST_AGENT, "a", agent_env),
	    process(HOST_AGENT, "b", bad_env),
	    process(HOST_SCHEDULER, "s", scheduler_env)};
	struct host h = {all, ARRAY_LEN(all)};

	begin();
	doctor_check_settings(&d, &h);
	CHECK_INT(doctor_count(&d, DOCTOR_ERROR), 1);
	CHECK_INT(doctor_count(&d, DOCTOR_WARNING), 1);
	CHECK(strstr(d.findings[0].what, "CERTCTL_AGENT_STATE_DIR?"));
	CHECK(strstr(d.findings[1].what, "CERTCTL_AGENT_PARALLEL"));
	CHECK(all[0].cfg && !all[1].cfg && all[2].cfg);
	/* Twice two minutes of the agent, three of the scheduler. */
	begin();
	doctor_check_timeouts(&d, &h);
	CHECK_INT(d.n, 1);
	CHECK_INT(last(), DOCTOR_WARNING);
	CHECK(strstr(d.findings[0].what, "CERTCTL_AGENT_OFFLINE_AFTER"));
	h.n = 0;
	doctor_check_timeouts(&d, &h);
	CHECK_INT(last(), DOCTOR_UNSEEN);
	cfg_free(all[0].cfg);
	cfg_free(all[2].cfg);
}

static void
no_part_of_a_password_is_shown(void)
{
	static char *env[] =
	    {"CERTCTL_DATABASE_URL=postgresql://u:first@second@db.invalid/x",
		"CERTCTL_BUS_LISTEN_URL=ipc:///x", NULL};
	struct host_process one = process(HOST_SCHEDULER, "s", env);
	struct host h = {&one, 1};

	begin();
	doctor_check_settings(&d, &h);
	doctor_check_database(&d, &h);
	CHECK_INT(doctor_count(&d, DOCTOR_ERROR), 1);
	for (size_t i = 0; i < d.n; i++) {
		CHECK(!strstr(d.findings[i].what, "first"));
		CHECK(!strstr(d.findings[i].what, "second"));
	}
	cfg_free(one.cfg);
}

static void
what_must_agree_does_and_is_not_shown(void)
{
	static char *one[] = {"CERTCTL_CA_ENCRYPTION_KEY=first-secret", NULL};
	static char *two[] = {"CERTCTL_CA_ENCRYPTION_KEY=other-secret", NULL};
	struct host_process all[] = {process(HOST_WORKER, "w1", one),
	    process(HOST_WORKER, "w2", two), process(HOST_WORKER, "w3", NULL)};
	struct host h = {all, ARRAY_LEN(all)};

	begin();
	doctor_check_agreement(&d, &h);
	CHECK_INT(d.n, 1);
	CHECK_INT(last(), DOCTOR_WARNING);
	CHECK_STR(d.findings[0].what,
	    "CERTCTL_CA_ENCRYPTION_KEY is not as that of w1");
	all[1].env = one;
	doctor_check_agreement(&d, &h);
	CHECK_INT(last(), DOCTOR_OK);
}

/* --- the processes of a host --- */

static void
put_file(const char *dir, const char *name, const char *text, size_t n)
{
	FILE *f = fopen(arena_printf(d.arena, "%s/%s", dir, name), "w");

	CHECK(f != NULL && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

static bool
takes_all(void *arg, enum host_role role, int pid)
{
	(void)arg;
	(void)role;
	return pid != 9;
}

static void
only_our_programs_are_taken_with_their_environment(void)
{
	static const struct {
		const char *pid, *exe;
	} rows[] = {{"7", "/usr/bin/certctl-worker"},
	    {"8", "/x/certctl-agent (deleted)"}, {"9", "/x/certctl-agent"},
	    {"10", "/usr/bin/certctl-workers"}, {"self", "/x/certctl-agent"}};
	char root[] = "/tmp/certctl-doctor-XXXXXX";
	struct host h;

	begin();
	CHECK(mkdtemp(root) != NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *dir =
		    arena_printf(d.arena, "%s/%s", root, rows[i].pid);

		CHECK_INT(mkdir(dir, 0700), 0);
		CHECK_INT(symlink(rows[i].exe,
			      arena_printf(d.arena, "%s/exe", dir)),
		    0);
		if (i == 0)
			put_file(dir, "environ", "A=1\0AB=2\0C=", 12);
	}
	host_find(d.arena, root, takes_all, NULL, &h);
	CHECK_INT(h.n, 2);
	for (size_t i = 0; i < h.n; i++) {
		if (h.all[i].role == HOST_WORKER) {
			CHECK_STR(h.all[i].name, "certctl-worker 7");
			CHECK_STR(host_variable(&h.all[i], "A"), "1");
			CHECK_STR(host_variable(&h.all[i], "C"), "");
			CHECK(!host_variable(&h.all[i], "B"));
		} else {
			CHECK(h.all[i].is_replaced && h.all[i].why);
			CHECK(!host_variable(&h.all[i], "A"));
		}
	}
	host_fini(&h);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *dir =
		    arena_printf(d.arena, "%s/%s", root, rows[i].pid);

		(void)unlink(arena_printf(d.arena, "%s/environ", dir));
		CHECK_INT(unlink(arena_printf(d.arena, "%s/exe", dir)), 0);
		CHECK_INT(rmdir(dir), 0);
	}
	CHECK_INT(rmdir(root), 0);
}

/* --- the report --- */

static void
errors_come_first_and_are_harmless(void)
{
	struct cli cli = {.format = FORMAT_JSON};

	begin();
	doctor_say(&d, DOCTOR_OK, DOCTOR_api, "", "it answers");
	doctor_say(&d, DOCTOR_UNSEEN, DOCTOR_disk, "x", "not seen");
	doctor_say(&d, DOCTOR_ERROR, DOCTOR_leader, "", "bad \x1b[2J\n");
	capture_begin();
	doctor_print(&d);
	capture_end();
	CHECK(strncmp(captured_out(), "error    leader ", 16) == 0);
	CHECK(strstr(captured_out(), "bad \\x1b[2J\\n\n"));
	CHECK(strstr(captured_out(), "\n1 error, 0 warnings, 1 could not be "
				     "looked at, 1 well\n"));
	capture_begin();
	doctor_print_json(&cli, &d);
	capture_end();
	CHECK(strncmp(captured_out(),
		  "{\"ok\":false,\"errors\":1,\"warnings\":0,\"unseen\":1,"
		  "\"findings\":[{\"level\":\"ok\",\"check\":\"api\"",
		  80) == 0);
}

static void
many_findings_have_room(void)
{
	begin();
	for (int i = 0; i < 1000; i++)
		doctor_say(&d, DOCTOR_OK, DOCTOR_api, "", "%d", i);
	CHECK_INT(doctor_count(&d, DOCTOR_OK), 1000);
	CHECK_STR(d.findings[999].what, "999");
}

CHECK_MAIN(CHECK_ROW(clocks_may_differ_by_seconds),
    CHECK_ROW(ends_are_told_in_time), CHECK_ROW(releases_are_compared),
    CHECK_ROW(one_of_each_is_the_least),
    CHECK_ROW(conditions_are_findings_with_their_advice),
    CHECK_ROW(silent_agents_are_named_and_counted),
    CHECK_ROW(keys_are_their_owners_alone), CHECK_ROW(disks_have_room),
    CHECK_ROW(roles_have_what_they_need_and_no_more),
    CHECK_ROW(answers_must_be_durable),
    CHECK_ROW(settings_are_read_as_their_program_does),
    CHECK_ROW(no_part_of_a_password_is_shown),
    CHECK_ROW(what_must_agree_does_and_is_not_shown),
    CHECK_ROW(only_our_programs_are_taken_with_their_environment),
    CHECK_ROW(errors_come_first_and_are_harmless),
    CHECK_ROW(many_findings_have_room))
