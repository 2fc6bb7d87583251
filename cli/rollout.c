#include "cli/rollout.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/out.h"
#include "common/json/json.h"

#define PAGE_ROWS 500
#define ID_MAX 256
#define NAMES_SHOWN 10
/* Many rows are looked at less often. */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 2000

/* --- targets --- */

static int
by_id(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static const char *
text_of(struct cli *c, const struct cJSON *object, const char *name)
{
	const char *text;

	if (!object || json_str(object, name, ID_MAX, &text) != RC_OK ||
	    text[0] == '\0')
		return NULL;
	return arena_strdup(c->arena, text);
}

static struct target
read_target(struct cli *c, const struct cJSON *item)
{
	const struct cJSON *config = json_get(item, "config");
	const char *id = text_of(c, item, "id"),
		   *agent = text_of(c, item, "agent_id");
	struct target t = {.id = id ? id : "", .agent = agent ? agent : ""};
	bool is_enabled = false;
	int64_t port = 443;

	IGNORE_RESULT(json_bool(item, "enabled", &is_enabled));
	t.is_on = is_enabled && !text_of(c, item, "retired_at");
	t.host = text_of(c, config, "host");
	t.server_name = text_of(c, config, "server_name");
	if (config)
		IGNORE_RESULT(json_int(config, "port", 1, 65535, &port));
	t.port = (int)port;
	return t;
}

int
rollout_find(struct rollout *r, struct wait *w, const char *certificate)
{
	struct cli *c = w->cli;
	const char *path = arena_printf(c->arena,
	    "/api/v1/certificates/%s/deployments", certificate);
	const struct cJSON *data, *item;
	size_t n = 0;
	int exit_code;

	*r = (struct rollout){.wait = w, .certificate = certificate};
	while (!wait_look(w, path) && wait_pause(w))
		continue;
	exit_code = client_check_list(c, &w->last, NULL, &data);
	if (exit_code != EXIT_DONE)
		return exit_code;
	r->targets = arena_alloc(c->arena,
	    ((size_t)cJSON_GetArraySize(data) + 1) * sizeof(*r->targets));
	cJSON_ArrayForEach(item, data) r->targets[n++] = read_target(c, item);
	r->ntargets = n;
	qsort(r->targets, n, sizeof(*r->targets), by_id);
	return EXIT_DONE;
}

/* --- deployments --- */

/* Of one version, in one pass over all pages. */
struct pass {
	const char *version, *escaped;
	size_t rows;
	bool is_told; /* name what failed or goes on */
	bool is_late; /* the time is over */
	/* To targets that were taken off the certificate meanwhile. */
	bool other_goes_on, other_failed;
};

static enum target_state
state_of(const struct cJSON *job)
{
	const char *status = "";

	IGNORE_RESULT(json_str(job, "status", ID_MAX, &status));
	if (strcmp(status, "Completed") == 0)
		return TARGET_DONE;
	if (strcmp(status, "Failed") == 0 || strcmp(status, "Cancelled") == 0)
		return TARGET_FAILED;
	return TARGET_UNDER_WAY;
}

static void
tell_row(struct rollout *r, const struct pass *p, const struct cJSON *job)
{
	struct cli *c = r->wait->cli;
	enum target_state state = state_of(job);

	if (state == TARGET_FAILED)
		out_error("the deployment to %s (%s) ended as %s: %s",
		    cell(c, job, "target_id"), cell(c, job, "id"),
		    cell(c, job, "status"), cell(c, job, "last_error"));
	else if (state == TARGET_UNDER_WAY && p->is_late)
		out_error("the deployment to %s (%s) is still %s; it goes on "
			  "without us",
		    cell(c, job, "target_id"), cell(c, job, "id"),
		    cell(c, job, "status"));
}

static void
take_row(struct rollout *r, struct pass *p, const struct cJSON *job)
{
	const char *version = "", *verified = "";
	enum target_state state = state_of(job);
	struct target key = {.id = ""}, *t;

	IGNORE_RESULT(json_str(job, "version_id", ID_MAX, &version));
	if (strcmp(version, p->version) != 0)
		return;
	if (p->is_told)
		tell_row(r, p, job);
	IGNORE_RESULT(json_str(job, "target_id", ID_MAX, &key.id));
	t = bsearch(&key, r->targets, r->ntargets, sizeof(key), by_id);
	if (!t) {
		p->other_goes_on |= state == TARGET_UNDER_WAY;
		p->other_failed |= state == TARGET_FAILED;
		return;
	}
	t->version = p->version;
	if (state > t->state)
		t->state = state;
	IGNORE_RESULT(json_str(job, "verification_status", ID_MAX, &verified));
	t->is_seen |= strcmp(verified, "success") == 0;
}

static int
take_page(struct rollout *r, struct pass *p, int page, bool *out_is_last)
{
	CLEANUP(buf_fini) struct buf path;
	const struct cJSON *data, *job;
	int exit_code;

	buf_init(&path, 0);
	buf_printf(&path,
	    "/api/v1/jobs?certificate_id=%s&type=Deployment&version_id=%s"
	    "&per_page=%d&page=%d",
	    r->certificate, p->escaped, PAGE_ROWS, page);
	if (!wait_look(r->wait, buf_cstr(&path)))
		return EXIT_UNREACHABLE;
	exit_code =
	    client_check_list(r->wait->cli, &r->wait->last, NULL, &data);
	if (exit_code != EXIT_DONE)
		return exit_code;
	cJSON_ArrayForEach(job, data)
	{
		p->rows++;
		take_row(r, p, job);
	}
	*out_is_last = cJSON_GetArraySize(data) < PAGE_ROWS;
	return EXIT_DONE;
}

static bool
is_expected(const struct target *t, const char *agent)
{
	return t->is_on && strcmp(t->agent, agent) == 0;
}

/* Rows that come while it reads push others onto the next page, where they
 * are met twice; the worst of a target stays the same.  What it gives is told,
 * unless the last answer is a passing one. */
static int
take_all(struct rollout *r, struct pass *p, const char *agent)
{
	bool is_last = false;
	int exit_code;

	for (size_t i = 0; i < r->ntargets; i++) {
		struct target *t = &r->targets[i];

		if (strcmp(t->agent, agent) != 0 && t->version != p->version)
			continue;
		t->state = TARGET_MISSING;
		t->is_seen = false;
		if (t->is_on)
			t->version = p->version;
	}
	p->rows = 0;
	p->other_goes_on = p->other_failed = false;
	for (int page = 1; !is_last; page++) {
		exit_code = take_page(r, p, page, &is_last);
		if (exit_code != EXIT_DONE)
			return exit_code;
	}
	return EXIT_DONE;
}

/* Whether all have ended, and in *out_is_good how. */
static bool
has_ended(const struct rollout *r, const struct pass *p, const char *agent,
    bool *out_is_good)
{
	bool has_ended = !p->other_goes_on;

	*out_is_good = !p->other_failed;
	for (size_t i = 0; i < r->ntargets; i++) {
		const struct target *t = &r->targets[i];

		if (!is_expected(t, agent) && t->version != p->version)
			continue;
		if (t->state == TARGET_MISSING || t->state == TARGET_UNDER_WAY)
			has_ended = false;
		if (t->state != TARGET_DONE)
			*out_is_good = false;
	}
	return has_ended;
}

/* Whether one ended badly, of those that the passes met. */
static bool
has_failed(const struct rollout *r, const struct pass *p)
{
	bool has_failed = p->other_failed;

	for (size_t i = 0; i < r->ntargets; i++)
		has_failed |= r->targets[i].version == p->version &&
			      r->targets[i].state == TARGET_FAILED;
	return has_failed;
}

/* Told in a pass of its own: the rows of the last are gone. */
static int
tell_failure(struct rollout *r, struct pass *p, const char *agent)
{
	p->is_told = true;
	if (take_all(r, p, agent) != EXIT_DONE)
		out_error("the deployments of %s can't be looked at; see "
			  "certctl jobs list",
		    out_harmless(r->wait->cli->arena, p->version));
	for (size_t i = 0; p->is_late && i < r->ntargets; i++) {
		if (is_expected(&r->targets[i], agent) &&
		    r->targets[i].state == TARGET_MISSING)
			out_error("no deployment to %s has begun; see certctl "
				  "jobs list",
			    out_harmless(r->wait->cli->arena,
				r->targets[i].id));
	}
	return p->is_late && !has_failed(r, p) ? EXIT_UNREACHABLE : EXIT_FAILED;
}

int
rollout_follow(struct rollout *r, const char *agent, const char *version)
{
	struct pass p = {.version = version,
	    .escaped = client_escape(r->wait->cli, version)};
	bool is_good = false;
	int exit_code;

	do {
		exit_code = take_all(r, &p, agent);
		if (exit_code != EXIT_DONE && client_is_passing(&r->wait->last))
			continue;
		if (exit_code != EXIT_DONE)
			return exit_code;
		r->wait->pause_ms = PAUSE_MIN_MS + (int64_t)p.rows * 2;
		if (r->wait->pause_ms > PAUSE_MAX_MS)
			r->wait->pause_ms = PAUSE_MAX_MS;
		if (has_ended(r, &p, agent, &is_good))
			return is_good ? EXIT_DONE : tell_failure(r, &p, agent);
	} while (wait_pause(r->wait));
	p.is_late = true;
	return tell_failure(r, &p, agent);
}

/* --- what was checked --- */

enum group { GROUP_SEEN, GROUP_UNSEEN, GROUP_OFF, GROUP_OTHER, GROUPS };

static enum group
group_of(const struct target *t)
{
	if (t->version && t->state == TARGET_DONE)
		return t->is_seen ? GROUP_SEEN : GROUP_UNSEEN;
	if (t->version)
		return GROUPS; /* a failure, which was told */
	return t->is_on ? GROUP_OTHER : GROUP_OFF;
}

static size_t
count(const struct rollout *r, enum group group)
{
	size_t n = 0;

	for (size_t i = 0; i < r->ntargets; i++)
		n += group_of(&r->targets[i]) == group;
	return n;
}

/* "2 targets", or "1 of 2 targets" */
static const char *
targets(const struct rollout *r, size_t n)
{
	const char *of = n == r->ntargets ? ""
					  : arena_printf(r->wait->cli->arena,
						" of %zu", r->ntargets);

	return arena_printf(r->wait->cli->arena, "%zu%s target%s", n, of,
	    r->ntargets == 1 ? "" : "s");
}

/* "tgt-a, tgt-b and 3 more" */
static const char *
names(const struct rollout *r, enum group group)
{
	struct cli *c = r->wait->cli;
	const char *out = "";
	size_t n = 0;

	for (size_t i = 0; i < r->ntargets; i++) {
		if (group_of(&r->targets[i]) != group || n++ >= NAMES_SHOWN)
			continue;
		out = arena_printf(c->arena, "%s%s%s", out, n > 1 ? ", " : "",
		    out_harmless(c->arena, r->targets[i].id));
	}
	if (n > NAMES_SHOWN)
		out = arena_printf(c->arena, "%s and %zu more", out,
		    n - NAMES_SHOWN);
	return out;
}

void
rollout_tell(const struct rollout *r)
{
	static const char *const words[GROUPS] = {
	    [GROUP_UNSEEN] = "no handshake has checked that it is served",
	    [GROUP_OFF] = "not installed where the target is disabled",
	    [GROUP_OTHER] = "no version of this renewal came to",
	};
	struct cli *c = r->wait->cli;
	size_t seen = count(r, GROUP_SEEN), unseen = count(r, GROUP_UNSEEN);

	if (r->ntargets == 0)
		wait_tell(r->wait, "no target to install it on");
	if (seen + unseen > 0)
		wait_tell(r->wait, arena_printf(c->arena, "installed on %s",
				       targets(r, seen + unseen)));
	if (seen > 0)
		wait_tell(r->wait,
		    arena_printf(c->arena,
			"served on %s, as handshakes of the agents showed",
			targets(r, seen)));
	for (size_t i = 0; i < GROUPS; i++) {
		if (words[i] && count(r, (enum group)i) > 0)
			wait_tell(r->wait,
			    arena_printf(c->arena, "%s: %s", words[i],
				names(r, (enum group)i)));
	}
}
