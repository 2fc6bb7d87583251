/*
 * certs renew: asks for a renewal, and with --wait follows it until the
 * servers show the new certificate in a handshake of our own.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/json/json.h"

#define LOOK_EVERY_MS 50
#define WAIT_DEFAULT_S 120

struct renewal {
	struct cli *cli;
	const char *certificate;
	const char *job;
	int64_t started_ms, deadline_ms;
	bool saw_csr;
	/* The first probed target, or host NULL. */
	const char *host, *server_name;
	int port;
	char old_serial[41];
};

static void
tell(const struct renewal *r, const char *what)
{
	printf("%6.2f s  %s\n",
	    (double)(clock_boot_ms() - r->started_ms) / 1000.0, what);
	fflush(stdout);
}

static bool
pause_or_late(const struct renewal *r)
{
	struct timespec t = {0, LOOK_EVERY_MS * 1000000L};

	nanosleep(&t, NULL);
	return clock_boot_ms() > r->deadline_ms;
}

static void
find_target(struct renewal *r)
{
	struct answer a = client_call(r->cli, "GET",
	    arena_printf(r->cli->arena, "/api/v1/certificates/%s/deployments",
		r->certificate),
	    NULL);
	const struct cJSON *item;

	cJSON_ArrayForEach(item, json_get(a.json, "data"))
	{
		const struct cJSON *config = json_get(item, "config");
		int64_t port = 443;

		if (!config || json_str(config, "host", 253, &r->host) != RC_OK)
			continue;
		IGNORE_RESULT(json_int(config, "port", 1, 65535, &port));
		IGNORE_RESULT(json_str(config, "server_name", 253,
		    &r->server_name)); /* absent: no SNI */
		r->port = (int)port;
		return;
	}
}

static int
wait_for_job(struct renewal *r)
{
	const char *path =
	    arena_printf(r->cli->arena, "/api/v1/jobs/%s", r->job);
	const char *status = "";
	struct answer a;

	do {
		a = client_call(r->cli, "GET", path, NULL);
		if (a.status == 0 || a.status >= 500)
			continue; /* a restart is no failure of the job */
		if (a.status != 200)
			return client_check(&a);
		status = cell(r->cli, a.json, "status");
		if (!r->saw_csr && strcmp(status, "AwaitingCSR") != 0 &&
		    strcmp(status, "AwaitingApproval") != 0) {
			r->saw_csr = true;
			tell(r, "CSR from the agent");
		}
		if (strcmp(status, "Completed") == 0) {
			tell(r, "signed");
			return EXIT_DONE;
		}
		if (strcmp(status, "Failed") == 0 ||
		    strcmp(status, "Cancelled") == 0) {
			fprintf(stderr, "certctl: job %s ended as %s: %s\n",
			    r->job, status, cell(r->cli, a.json, "last_error"));
			return EXIT_FAILED;
		}
	} while (!pause_or_late(r));
	fprintf(stderr, "certctl: job %s is still %s; it goes on without us\n",
	    r->job, status);
	return EXIT_FAILED;
}

/* The newest deployment made after our job; ids carry their time. */
static int
wait_for_deployment(struct renewal *r)
{
	const char *path = arena_printf(r->cli->arena,
	    "/api/v1/jobs?certificate_id=%s&type=Deployment&per_page=5",
	    r->certificate);

	do {
		struct answer a = client_call(r->cli, "GET", path, NULL);
		const struct cJSON *job =
		    cJSON_GetArrayItem(json_get(a.json, "data"), 0);
		const char *status, *id;

		if (!job)
			continue;
		id = cell(r->cli, job, "id");
		status = cell(r->cli, job, "status");
		if (strcmp(id, r->job) < 0)
			continue; /* of an earlier renewal */
		if (strcmp(status, "Completed") == 0) {
			tell(r, "installed");
			return EXIT_DONE;
		}
		if (strcmp(status, "Failed") == 0) {
			fprintf(stderr, "certctl: the deployment failed: %s\n",
			    cell(r->cli, job, "last_error"));
			return EXIT_FAILED;
		}
	} while (!pause_or_late(r));
	fprintf(stderr, "certctl: the deployment has not ended yet; see "
			"certctl jobs list\n");
	return EXIT_FAILED;
}

static int
wait_for_serving(struct renewal *r)
{
	char serial[41] = "";

	do {
		if (handshake_serial(r->host, r->port, r->server_name,
			serial) &&
		    strcmp(serial, r->old_serial) != 0) {
			tell(r, "served");
			printf("serial %s -> %s\n",
			    r->old_serial[0] ? r->old_serial : "(none)",
			    serial);
			return EXIT_DONE;
		}
	} while (!pause_or_late(r));
	fprintf(stderr, "certctl: %s:%d still serves serial %s\n", r->host,
	    r->port, serial[0] ? serial : "(no handshake)");
	return EXIT_FAILED;
}

static int
follow(struct renewal *r)
{
	int exit_code = wait_for_job(r);

	if (exit_code != EXIT_DONE || !r->host)
		return exit_code;
	exit_code = wait_for_deployment(r);
	if (exit_code != EXIT_DONE)
		return exit_code;
	return wait_for_serving(r);
}

int
cmd_certs_renew(struct cli *c, int argc, char **argv)
{
	bool wait = args_flag(&argc, argv, "--wait");
	bool force = args_flag(&argc, argv, "--force");
	const char *timeout = args_option(&argc, argv, "--timeout");
	struct renewal r = {.cli = c};
	int64_t seconds = WAIT_DEFAULT_S;
	struct answer a;
	int exit_code;

	exit_code = args_expect(argc, argv, 1, "the certificate's id");
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (timeout && enc_parse_i64(timeout, 1, 86400, &seconds) != RC_OK) {
		fprintf(stderr, "certctl: --timeout takes seconds, 1 to "
				"86400\n");
		return EXIT_USAGE;
	}
	r.certificate = client_escape(c, argv[0]);
	if (wait)
		find_target(&r);
	if (r.host)
		(void)handshake_serial(r.host, r.port, r.server_name,
		    r.old_serial);
	r.started_ms = clock_boot_ms();
	r.deadline_ms = r.started_ms + seconds * 1000;
	a = client_call(c, "POST",
	    arena_printf(c->arena, "/api/v1/certificates/%s/renew%s",
		r.certificate, force ? "?force=true" : ""),
	    NULL);
	exit_code = client_check(&a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	r.job = cell(c, a.json, "job_id");
	if (!wait) {
		if (c->as_json)
			fputs(a.text, stdout);
		else
			printf("queued as %s\n", r.job);
		return EXIT_DONE;
	}
	tell(&r, arena_printf(c->arena, "queued as %s", r.job));
	return follow(&r);
}
