/*
 * certs renew: asks for a renewal, and with --wait follows it until every
 * target has it and shows it in a handshake of our own.  One deployment that
 * fails makes the whole a failure, whatever becomes of the others.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/base/clock.h"
#include "common/json/json.h"

#define LOOK_EVERY_MS 50
#define WAIT_DEFAULT_S 120
#define SITES_MAX 64
#define DEPLOYMENTS_MAX 500

/* Where a target can be looked at. */
struct site {
	const char *host, *server_name; /* server_name NULL: no SNI */
	int port;
	char old_serial[41]; /* "" : no handshake before */
};

struct renewal {
	struct cli *cli;
	const char *certificate;
	const char *job;
	int64_t started_ms, deadline_ms;
	bool saw_csr;
	size_t ntargets;
	struct site sites[SITES_MAX];
	size_t nsites;
	struct arena *held; /* of the last look */
};

static void
tell(const struct renewal *r, const char *what)
{
	double seconds = (double)(clock_boot_ms() - r->started_ms) / 1000.0;

	if (r->cli->as_json) /* standard output holds the JSON alone */
		out_tell("%6.2f s  %s\n", seconds, what);
	else
		out_print("%6.2f s  %s\n", seconds, what);
	(void)fflush(stdout); /* out_flush tells at the end */
}

static bool
pause_or_late(const struct renewal *r)
{
	struct timespec t = {0, LOOK_EVERY_MS * 1000000L};

	nanosleep(&t, NULL);
	return clock_boot_ms() > r->deadline_ms;
}

static void
add_site(struct renewal *r, const struct cJSON *config)
{
	struct site *s = &r->sites[r->nsites];
	int64_t port = 443;

	if (!config || r->nsites == SITES_MAX ||
	    json_str(config, "host", 253, &s->host) != RC_OK || !s->host[0])
		return;
	IGNORE_RESULT(json_int(config, "port", 1, 65535, &port));
	IGNORE_RESULT(json_str(config, "server_name", 253,
	    &s->server_name)); /* absent: no SNI */
	s->port = (int)port;
	(void)handshake_serial(s->host, s->port, s->server_name, s->old_serial);
	r->nsites++;
}

static int
find_targets(struct renewal *r)
{
	struct answer a = client_call(r->cli, "GET",
	    arena_printf(r->cli->arena, "/api/v1/certificates/%s/deployments",
		r->certificate),
	    NULL);
	int exit_code = client_check_json(r->cli, &a);
	const struct cJSON *item;

	if (exit_code != EXIT_DONE)
		return exit_code;
	cJSON_ArrayForEach(item, json_get(a.json, "data"))
	{
		r->ntargets++;
		add_site(r, json_get(item, "config"));
	}
	return EXIT_DONE;
}

/* Ended: its exit code in *out. */
static bool
job_has_ended(struct renewal *r, const struct cJSON *job, int *out)
{
	const char *status = cell(r->cli, job, "status");

	if (!r->saw_csr && strcmp(status, "AwaitingCSR") != 0 &&
	    strcmp(status, "AwaitingApproval") != 0) {
		r->saw_csr = true;
		tell(r, "CSR from the agent");
	}
	if (strcmp(status, "Completed") == 0) {
		tell(r, "signed");
		*out = EXIT_DONE;
		return true;
	}
	if (strcmp(status, "Failed") != 0 && strcmp(status, "Cancelled") != 0)
		return false;
	out_error("job %s ended as %s: %s", r->job, status,
	    cell(r->cli, job, "last_error"));
	*out = EXIT_FAILED;
	return true;
}

static int
wait_for_job(struct renewal *r)
{
	const char *path = arena_printf(r->cli->arena, "/api/v1/jobs/%s",
	    client_escape(r->cli, r->job));
	const char *status = "unknown";
	int exit_code = EXIT_FAILED;

	do {
		struct answer a = client_look(r->cli, path, &r->held);

		if (a.status == 0 || a.status >= 500)
			continue; /* a restart is no failure of the job */
		exit_code = client_check_json(r->cli, &a);
		if (exit_code != EXIT_DONE)
			return exit_code;
		status = cell(r->cli, a.json, "status");
		if (job_has_ended(r, a.json, &exit_code))
			return exit_code;
	} while (!pause_or_late(r));
	out_error("job %s is still %s; it goes on without us", r->job, status);
	return EXIT_FAILED;
}

/* A version is named after the job that made it. */
static bool
is_of_version(const struct renewal *r, const struct cJSON *job)
{
	const char *version = "";

	IGNORE_RESULT(json_str(job, "version_id", 256, &version));
	return strncmp(version, "certver", 7) == 0 &&
	       strncmp(r->job, "job", 3) == 0 &&
	       strcmp(version + 7, r->job + 3) == 0;
}

struct deployments {
	const struct cJSON *data;
	size_t n, done, failed;
};

static bool
is_failed(struct renewal *r, const struct cJSON *job)
{
	const char *status = cell(r->cli, job, "status");

	return strcmp(status, "Failed") == 0 ||
	       strcmp(status, "Cancelled") == 0;
}

static void
count(struct renewal *r, struct deployments *d)
{
	const struct cJSON *job;

	d->n = d->done = d->failed = 0;
	cJSON_ArrayForEach(job, d->data)
	{
		if (!is_of_version(r, job))
			continue;
		d->n++;
		d->failed += is_failed(r, job);
		d->done +=
		    strcmp(cell(r->cli, job, "status"), "Completed") == 0;
	}
}

static int
tell_failed(struct renewal *r, const struct deployments *d)
{
	const struct cJSON *job;

	cJSON_ArrayForEach(job, d->data)
	{
		if (is_of_version(r, job) && is_failed(r, job))
			out_error("the deployment to %s (%s) ended as %s: %s",
			    cell(r->cli, job, "target_id"),
			    cell(r->cli, job, "id"),
			    cell(r->cli, job, "status"),
			    cell(r->cli, job, "last_error"));
	}
	return EXIT_FAILED;
}

static int
tell_late(struct renewal *r, const struct deployments *d)
{
	const struct cJSON *job;

	cJSON_ArrayForEach(job, d->data)
	{
		const char *status = cell(r->cli, job, "status");

		if (is_of_version(r, job) && !is_failed(r, job) &&
		    strcmp(status, "Completed") != 0)
			out_error("the deployment to %s (%s) is still %s; it "
				  "goes on without us",
			    cell(r->cli, job, "target_id"),
			    cell(r->cli, job, "id"), status);
	}
	if (d->n == 0)
		out_error("no deployment of it has begun; see certctl jobs "
			  "list");
	return d->failed ? tell_failed(r, d) : EXIT_FAILED;
}

/* Those of a version are made together, with it. */
static int
wait_for_deployments(struct renewal *r)
{
	/* Newest first; some may have been made again by now. */
	int most = r->ntargets < DEPLOYMENTS_MAX / 4 ? (int)r->ntargets * 4
						     : DEPLOYMENTS_MAX;
	const char *path = arena_printf(r->cli->arena,
	    "/api/v1/jobs?certificate_id=%s&type=Deployment&per_page=%d",
	    r->certificate, most);
	struct deployments d = {.data = NULL};
	int exit_code;

	do {
		struct answer a = client_look(r->cli, path, &r->held);

		if (a.status == 0 || a.status >= 500)
			continue;
		exit_code = client_check_json(r->cli, &a);
		if (exit_code != EXIT_DONE)
			return exit_code;
		d.data = json_get(a.json, "data");
		count(r, &d);
		if (d.n == 0 || d.done + d.failed < d.n)
			continue;
		if (d.failed > 0)
			return tell_failed(r, &d);
		tell(r, d.n == 1 ? "installed"
				 : arena_printf(r->cli->arena,
				       "installed on %zu targets", d.n));
		return EXIT_DONE;
	} while (!pause_or_late(r));
	return tell_late(r, &d);
}

static int
wait_for_site(struct renewal *r, const struct site *s)
{
	const char *old = s->old_serial[0] ? s->old_serial : "(none)";
	char serial[41] = "";

	do {
		if (handshake_serial(s->host, s->port, s->server_name,
			serial) &&
		    strcmp(serial, s->old_serial) != 0) {
			tell(r, "served");
			if (!r->cli->as_json)
				out_print("serial %s -> %s\n", old, serial);
			return EXIT_DONE;
		}
	} while (!pause_or_late(r));
	out_error("%s:%d still serves serial %s",
	    out_harmless(r->cli->arena, s->host), s->port,
	    serial[0] ? serial : "(no handshake)");
	return EXIT_FAILED;
}

static int
follow(struct renewal *r)
{
	int exit_code = wait_for_job(r);

	if (exit_code != EXIT_DONE)
		return exit_code;
	if (r->ntargets == 0) {
		tell(r, "no target to install it on");
		return EXIT_DONE;
	}
	exit_code = wait_for_deployments(r);
	for (size_t i = 0; i < r->nsites && exit_code == EXIT_DONE; i++)
		exit_code = wait_for_site(r, &r->sites[i]);
	return exit_code;
}

/* With -o json the job as it ended is the answer. */
static void
print_job(struct renewal *r)
{
	struct answer a = client_call(r->cli, "GET",
	    arena_printf(r->cli->arena, "/api/v1/jobs/%s",
		client_escape(r->cli, r->job)),
	    NULL);

	if (client_check_json(r->cli, &a) == EXIT_DONE)
		out_json(a.text);
}

int
cmd_certs_renew(struct cli *c)
{
	bool wait = args_flag(c, "--wait");
	struct renewal r = {.cli = c};
	int64_t seconds = WAIT_DEFAULT_S;
	struct answer a;
	int exit_code;

	exit_code = args_timeout(c, &seconds);
	r.certificate = client_escape(c, args_word(c, 0));
	if (exit_code == EXIT_DONE && wait)
		exit_code = find_targets(&r);
	if (exit_code != EXIT_DONE)
		return exit_code;
	r.started_ms = clock_boot_ms();
	r.deadline_ms = r.started_ms + seconds * 1000;
	a = client_call(c, "POST",
	    arena_printf(c->arena, "/api/v1/certificates/%s/renew%s",
		r.certificate, args_flag(c, "--force") ? "?force=true" : ""),
	    NULL);
	exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	r.job = cell(c, a.json, "job_id");
	if (!wait)
		return show_done(c, &a,
		    arena_printf(c->arena, "queued as %s", r.job));
	tell(&r, arena_printf(c->arena, "queued as %s", r.job));
	exit_code = follow(&r);
	arena_free(r.held);
	if (c->as_json)
		print_job(&r);
	return exit_code;
}
