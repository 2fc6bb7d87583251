/*
 * doctor: checks an installation from where it stands: what the server tells,
 * and what the settings of its processes on this host lead to.  It changes
 * nothing, and what it could not look at it says.  Exit code 0: no error.
 */
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/doctor/api.h"
#include "cli/doctor/database.h"
#include "cli/doctor/files.h"
#include "cli/doctor/host.h"
#include "cli/doctor/settings.h"
#include "cli/moment.h"
#include "cli/out.h"
#include "common/base/attr.h"
#include "common/json/json.h"

enum { HOST_MAX = 256 };

/* --- what the server tells --- */

/* NULL, and a finding, when it does not. */
static const struct cJSON *
ask(struct cli *c, struct doctor *d, enum doctor_check check, const char *path)
{
	struct answer a = client_call(c, "GET", path, NULL);

	if (a.status == 200 && a.json)
		return a.json;
	doctor_say(d, DOCTOR_UNSEEN, check, "", "GET %s: %s (%d)", path,
	    client_why(c, &a), a.status);
	if (a.status == 401 || a.status == 403)
		doctor_fix(d, "Give a key that may read it (CERTCTL_API_KEY; "
			      "the role viewer is enough).");
	return NULL;
}

/* The same moment by both clocks, and the certificate of the connection. */
static bool
check_server(struct cli *c, struct doctor *d)
{
	int64_t before = time(NULL);
	struct answer ready;

	c->wants_server = true;
	ready = client_call(c, "GET", "/ready", NULL);
	c->wants_server = false;
	if (ready.status == 0) {
		doctor_say(d, DOCTOR_ERROR, DOCTOR_api, c->server, "%s",
		    ready.error);
		return false;
	}
	doctor_say(d, DOCTOR_OK, DOCTOR_api, c->server, "it answers");
	doctor_check_ready(d, ready.status, ready.json);
	if (ready.date > 0)
		doctor_check_clock(d, DOCTOR_clock_server, c->server,
		    ready.date, before, time(NULL));
	else
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_clock_server, c->server,
		    "it does not tell its time");
	if (ready.cert_ends > 0)
		doctor_check_end(d, DOCTOR_api_certificate, c->server,
		    ready.cert_begins, ready.cert_ends, time(NULL));
	else
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_api_certificate, c->server,
		    "its certificate could not be read");
	if (c->insecure)
		doctor_say(d, DOCTOR_WARNING, DOCTOR_api_trust, c->server,
		    "its certificate was not verified");
	return true;
}

static void
check_database_clock(struct doctor *d, const struct cJSON *processes,
    int64_t before)
{
	int64_t now;

	if (moment_read(json_get(processes, "database"), "now", &now))
		doctor_check_clock(d, DOCTOR_clock_database, "", now, before,
		    time(NULL));
	else
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_clock_database, "",
		    "the server did not say PostgreSQL's time");
}

/* The newest stand first, and one that does not report is offline soon: those
 * that never did are within a page. */
static void
check_agents(struct cli *c, struct doctor *d)
{
	const struct cJSON *offline, *online;

	offline = ask(c, d, DOCTOR_agents,
	    "/api/v1/agents?status=Offline&per_page=5");
	if (!offline)
		return;
	online = ask(c, d, DOCTOR_agents,
	    "/api/v1/agents?status=Online&per_page=500");
	if (online)
		doctor_check_agents(d, offline, online);
}

/* Those of the processes; NULL: not told. */
static const struct cJSON *
check_installation(struct cli *c, struct doctor *d)
{
	const struct cJSON *version, *processes, *found;
	const char *text = "";
	int64_t before;

	version = ask(c, d, DOCTOR_version, "/api/v1/version");
	before = time(NULL);
	processes = ask(c, d, DOCTOR_processes, "/api/v1/admin/processes");
	if (processes) {
		if (version &&
		    json_str(version, "version", 256, &text) == RC_OK)
			doctor_check_versions(d, CERTCTL_VERSION, text,
			    processes);
		doctor_check_processes(d, processes);
		doctor_check_database_version(d, processes);
		check_database_clock(d, processes, before);
	}
	found = ask(c, d, DOCTOR_condition, "/api/v1/admin/conditions");
	if (found)
		doctor_check_conditions(d, found);
	check_agents(c, d);
	return processes;
}

/* --- what runs here --- */

struct known {
	const struct cJSON *processes; /* NULL: the server does not tell */
	char host[HOST_MAX];
	size_t here; /* of them, and alive */
};

static bool
has_pid(const struct cJSON *list, const char *host, int pid, size_t *out_here)
{
	const struct cJSON *item;
	const char *its;
	int64_t number;
	bool found = false;

	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsTrue(json_get(item, "alive")) ||
		    json_str(item, "host", HOST_MAX, &its) != RC_OK ||
		    json_int(item, "pid", 1, INT32_MAX, &number) != RC_OK ||
		    strcasecmp(its, host) != 0)
			continue;
		++*out_here;
		found = found || number == pid;
	}
	return found;
}

/* Another installation's are not ours.  Agents are known by the server that
 * they ask, later. */
static bool
takes(void *arg, enum host_role role, int pid)
{
	static const char *const lists[] = {[HOST_APISERVER] = "apiservers",
	    [HOST_SCHEDULER] = "schedulers",
	    [HOST_WORKER] = "workers"};
	struct known *k = arg;
	size_t here = 0;

	if (role == HOST_AGENT || !k->processes)
		return true;
	return has_pid(json_get(k->processes, lists[role]), k->host, pid,
	    &here);
}

static void
leave_out_other_agents(const struct cli *c, struct host *h)
{
	for (size_t i = 0; i < h->n; i++) {
		struct host_process *p = &h->all[i];
		const char *url = host_variable(p, "CERTCTL_SERVER_URL");

		if (p->role == HOST_AGENT && p->env &&
		    strcmp(url && url[0] ? url : "https://localhost:8443",
			c->server) != 0)
			p->env = NULL;
	}
}

static void
say_what_is_here(struct doctor *d, const struct known *k, const struct host *h)
{
	size_t here = 0, seen = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct host_process *p = &h->all[i];

		seen += p->role != HOST_AGENT;
		if (p->why)
			doctor_say(d, DOCTOR_UNSEEN, DOCTOR_process, p->name,
			    "%s", p->why);
		else if (p->is_replaced && p->env)
			doctor_say(d, DOCTOR_WARNING, DOCTOR_program, p->name,
			    "the file of its program was replaced since it was "
			    "started");
	}
	if (k->processes) {
		(void)has_pid(json_get(k->processes, "apiservers"), k->host, 0,
		    &here);
		(void)has_pid(json_get(k->processes, "schedulers"), k->host, 0,
		    &here);
		(void)has_pid(json_get(k->processes, "workers"), k->host, 0,
		    &here);
	}
	if (here > seen)
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_process, k->host,
		    "%zu processes are said to run here and %zu are seen: the "
		    "others run in containers, or as another user",
		    here, seen);
	else if (h->n == 0)
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_process, k->host,
		    "no process of the installation runs here");
}

static void
check_host(struct cli *c, struct doctor *d, const struct cJSON *processes)
{
	struct known k = {.processes = processes};
	struct host h;

	if (gethostname(k.host, sizeof(k.host) - 1) != 0)
		k.host[0] = '\0';
	host_find(c->arena, "/proc", takes, &k, &h);
	leave_out_other_agents(c, &h);
	say_what_is_here(d, &k, &h);
	doctor_check_settings(d, &h);
	doctor_check_agreement(d, &h);
	doctor_check_timeouts(d, &h);
	doctor_check_files(d, &h, time(NULL));
	doctor_check_database(d, &h);
	host_fini(&h);
}

int
cmd_doctor(struct cli *c)
{
	struct doctor d = {.arena = c->arena};
	const struct cJSON *processes = NULL;

	if (check_server(c, &d))
		processes = check_installation(c, &d);
	check_host(c, &d, processes);
	if (c->as_json)
		doctor_print_json(c, &d);
	else
		doctor_print(&d);
	return doctor_count(&d, DOCTOR_ERROR) == 0 ? EXIT_DONE : EXIT_FAILED;
}
