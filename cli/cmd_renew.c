/*
 * certs renew: asks for a renewal, and with --wait follows it, a job and
 * a version for each agent that holds a key, until every target has it.  One
 * job or deployment that fails makes the whole a failure, whatever becomes of
 * the others.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/rollout.h"
#include "common/json/json.h"

#define LOOK_EVERY_MS 50
#define WAIT_DEFAULT_S 120
#define JOBS_MAX 10000
#define ID_MAX 256

struct job {
	const char *id;
	const char *agent;   /* once it has ended; "" : none */
	const char *version; /* NULL: it made none */
	const char *json;    /* as it was last seen */
};

struct renewal {
	struct cli *cli;
	const char *certificate; /* escaped */
	struct job *jobs;
	size_t njobs;
	bool saw_csr; /* of the job that is followed */
	struct wait wait;
};

/* --- the jobs --- */

static int
read_jobs(struct renewal *r, const struct answer *a)
{
	const char **ids = NULL;
	rc ret = json_str_list(r->cli->arena, a->json, "job_ids", JOBS_MAX,
	    ID_MAX, &ids, &r->njobs);

	if (ret != RC_OK || r->njobs == 0) {
		out_error("the server's answer names no job");
		return EXIT_FAILED;
	}
	r->jobs = arena_alloc(r->cli->arena, r->njobs * sizeof(*r->jobs));
	for (size_t i = 0; i < r->njobs; i++)
		r->jobs[i] = (struct job){.id = ids[i], .json = "{}"};
	return EXIT_DONE;
}

static const char *
all_ids(const struct renewal *r)
{
	const char *out = "";

	for (size_t i = 0; i < r->njobs; i++)
		out = arena_printf(r->cli->arena, "%s%s%s", out,
		    i > 0 ? ", " : "",
		    out_harmless(r->cli->arena, r->jobs[i].id));
	return out;
}

/* With several jobs it says of which. */
static void
tell(const struct renewal *r, const struct job *job, const char *what)
{
	if (r->njobs > 1)
		what = arena_printf(r->cli->arena, "%s (%s)", what,
		    out_harmless(r->cli->arena, job->id));
	wait_tell(&r->wait, what);
}

static const char *
kept(const struct renewal *r, const struct cJSON *json, const char *name)
{
	const char *text = "";

	IGNORE_RESULT(json_str(json, name, ID_MAX, &text));
	return arena_strdup(r->cli->arena, text);
}

/* Ended: its exit code in *out. */
static bool
job_has_ended(struct renewal *r, struct job *job, int *out)
{
	const struct cJSON *json = r->wait.last.json;
	const char *status = "", *version;

	IGNORE_RESULT(json_str(json, "status", ID_MAX, &status));
	if (!r->saw_csr && strcmp(status, "AwaitingCSR") != 0 &&
	    strcmp(status, "AwaitingApproval") != 0) {
		r->saw_csr = true;
		tell(r, job, "CSR from the agent");
	}
	*out = EXIT_FAILED;
	if (strcmp(status, "Completed") == 0) {
		tell(r, job, "signed");
		version = kept(r, json, "version_id");
		job->agent = kept(r, json, "agent_id");
		if (version[0] == '\0')
			out_error("the server does not say which version job "
				  "%s made",
			    out_harmless(r->cli->arena, job->id));
		else
			job->version = version;
		*out = job->version ? EXIT_DONE : EXIT_FAILED;
		return true;
	}
	if (strcmp(status, "Failed") != 0 && strcmp(status, "Cancelled") != 0)
		return false;
	out_error("job %s ended as %s: %s",
	    out_harmless(r->cli->arena, job->id), status,
	    cell(r->cli, json, "last_error"));
	return true;
}

static int
wait_for_job(struct renewal *r, struct job *job)
{
	struct cli *c = r->cli;
	const char *path = arena_printf(c->arena, "/api/v1/jobs/%s",
	    client_escape(c, job->id));
	const char *status = "unknown", *reason = "-";
	int exit_code;

	r->saw_csr = false;
	do {
		if (!wait_look(&r->wait, path))
			continue;
		exit_code = client_check_json(c, &r->wait.last);
		if (exit_code != EXIT_DONE)
			return exit_code;
		if (job_has_ended(r, job, &exit_code)) {
			job->json = arena_strdup(c->arena, r->wait.last.text);
			return exit_code;
		}
	} while (wait_pause(&r->wait));
	if (!client_is_passing(&r->wait.last)) {
		status = cell(c, r->wait.last.json, "status");
		reason = cell(c, r->wait.last.json, "reason");
		job->json = arena_strdup(c->arena, r->wait.last.text);
	}
	out_error("job %s is still %s%s%s; it goes on without us",
	    out_harmless(c->arena, job->id), status,
	    strcmp(reason, "-") != 0 ? ": it " : "",
	    strcmp(reason, "-") != 0 ? reason : "");
	return EXIT_UNREACHABLE;
}

/* --- the whole --- */

/* That the time was over says less than any failure. */
static int
worse(int a, int b)
{
	return a != EXIT_DONE && (a != EXIT_UNREACHABLE || b == EXIT_DONE) ? a
									   : b;
}

static int
follow(struct renewal *r)
{
	struct rollout rollout;
	int exit_code = EXIT_DONE, found;

	for (size_t i = 0; i < r->njobs; i++)
		exit_code = worse(exit_code, wait_for_job(r, &r->jobs[i]));
	found = rollout_find(&rollout, &r->wait, r->certificate);
	if (found != EXIT_DONE)
		return worse(exit_code, found);
	for (size_t i = 0; i < r->njobs; i++) {
		const struct job *job = &r->jobs[i];

		if (job->version)
			exit_code = worse(exit_code,
			    rollout_follow(&rollout, job->agent, job->version));
	}
	rollout_tell(&rollout);
	wait_listen_no_more(&r->wait); /* no event tells what is served */
	if (args_flag(r->cli, "--handshake"))
		exit_code = worse(exit_code, rollout_handshakes(&rollout));
	return exit_code;
}

/* The jobs as they ended. */
static void
print_jobs(const struct renewal *r)
{
	CLEANUP(buf_fini) struct buf text;
	struct json_w w;

	buf_init(&text, 0);
	json_w_init(&w, &text);
	json_w_open(&w, '{');
	json_w_key(&w, "data");
	json_w_open(&w, '[');
	for (size_t i = 0; i < r->njobs; i++)
		json_w_raw(&w, r->jobs[i].json);
	json_w_close(&w, ']');
	json_w_kv_int(&w, "total", (int64_t)r->njobs);
	json_w_close(&w, '}');
	render_text(r->cli, buf_cstr(&text));
}

static struct answer
ask_for_it(struct renewal *r)
{
	struct cli *c = r->cli;

	r->certificate = client_escape(c, args_word(c, 0));
	return client_call(c, "POST", call_path(c, args_command(c)->path),
	    NULL);
}

int
cmd_certs_renew(struct cli *c)
{
	struct renewal r = {.cli = c};
	int64_t seconds = WAIT_DEFAULT_S;
	bool has_name;
	struct answer a;
	int exit_code;

	exit_code = args_timeout(c, &seconds);
	if (exit_code == EXIT_DONE)
		exit_code = args_goes_with(c, "--handshake", "--wait");
	if (exit_code == EXIT_DONE && args_flag(c, "--dry-run"))
		exit_code = names_before(c, NULL);
	if (exit_code != EXIT_DONE ||
	    call_is_dry(c, "POST", call_path(c, args_command(c)->path), NULL))
		return exit_code;
	wait_init(&r.wait, c, seconds, LOOK_EVERY_MS);
	a = ask_for_it(&r);
	exit_code = names_after(c, &a, &has_name);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (has_name)
		a = ask_for_it(&r);
	exit_code = client_check_json(c, &a);
	if (exit_code == EXIT_DONE)
		exit_code = read_jobs(&r, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!args_flag(c, "--wait"))
		return show_done(c, &a,
		    arena_printf(c->arena, "queued as %s", all_ids(&r)));
	wait_tell(&r.wait, arena_printf(c->arena, "queued as %s", all_ids(&r)));
	/* Deployments are jobs too. */
	wait_listen(&r.wait, arena_printf(c->arena,
				 "kind=job&certificate_id=%s", r.certificate));
	exit_code = follow(&r);
	wait_fini(&r.wait);
	if (c->as_json)
		print_jobs(&r);
	return exit_code;
}
