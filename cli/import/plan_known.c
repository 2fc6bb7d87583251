#include "cli/import/plan.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/out.h"
#include "common/base/buf.h"
#include "common/json/json.h"

enum {
	PAGE = 500,
	PAGES_MAX = 200, /* an agent reports 20,000 certificates at most */
	REPORT_MAX = 500 /* entries of a report */
};

struct known {
	const char *id, *fingerprint, *path, *managed;
};

struct agent_has {
	struct known *all;
	size_t n;
};

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->fingerprint,
	    ((const struct known *)b)->fingerprint);
}

static void
take(const struct cJSON *data, struct agent_has *has)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, data)
	{
		struct known k = {"", "", "", ""};

		IGNORE_RESULT(json_str(item, "id", 128, &k.id));
		IGNORE_RESULT(
		    json_str(item, "fingerprint_sha256", 64, &k.fingerprint));
		IGNORE_RESULT(json_str(item, "source_path", 4096, &k.path));
		IGNORE_RESULT(
		    json_str(item, "managed_certificate_id", 128, &k.managed));
		if (k.id[0])
			has->all[has->n++] = k;
	}
}

/* All that the agent is known to have. */
static int
read_all(struct cli *c, const char *agent, struct agent_has *has)
{
	const struct cJSON *data;
	int exit_code, n = PAGE;

	has->n = 0;
	has->all = arena_alloc(c->arena, PAGES_MAX * PAGE * sizeof(*has->all));
	for (int page = 1; page <= PAGES_MAX && n == PAGE; page++) {
		struct answer a = client_call(c, "GET",
		    arena_printf(c->arena,
			"/api/v1/discovered-certificates?agent_id=%s&page=%d&"
			"per_page=%d&fields=id,fingerprint_sha256,source_path,"
			"managed_certificate_id",
			client_escape(c, agent), page, PAGE),
		    NULL);

		exit_code = client_check_list(c, &a, NULL, &data);
		if (exit_code != EXIT_DONE)
			return exit_code;
		n = cJSON_GetArraySize(data);
		if (n > PAGE) {
			out_error("the server's list is longer than asked for");
			return EXIT_FAILED;
		}
		take(data, has);
	}
	qsort(has->all, has->n, sizeof(*has->all), compare);
	return EXIT_DONE;
}

/* At its path before one at another. */
static const struct known *
find(const struct agent_has *has, const struct import_found *f)
{
	struct known key = {.fingerprint = f->fingerprint_sha256};
	const struct known *k, *end = has->all + has->n, *any = NULL;

	k = has->n ? bsearch(&key, has->all, has->n, sizeof(key), compare)
		   : NULL;
	while (k && k > has->all && compare(k - 1, &key) == 0)
		k--;
	for (; k && k < end && compare(k, &key) == 0; k++) {
		if (strcmp(k->path, f->cert_path) == 0)
			return k;
		any = any ? any : k;
	}
	return any;
}

static void
judge(struct plan *p, struct plan_object *o, const struct known *k)
{
	if (!k || !k->managed[0]) {
		o->state = PLAN_NEW;
	} else if (strcmp(k->managed, o->id) == 0) {
		o->state = PLAN_THERE;
	} else {
		o->state = PLAN_CONFLICT;
		o->why = arena_printf(p->arena,
		    "what the agent has at %s is claimed for %s (%s)", k->path,
		    k->managed, k->id);
	}
}

int
plan_known_check(struct cli *c, struct plan *p)
{
	struct agent_has has;
	int exit_code;

	if (p->nknown == 0)
		return EXIT_DONE;
	exit_code = read_all(c, p->opts->agent, &has);
	for (struct plan_object *o = p->objects; o && exit_code == EXIT_DONE;
	     o = o->next) {
		if (o->kind == PLAN_KNOWN)
			judge(p, o, find(&has, o->found));
	}
	return exit_code;
}

/* The next entries that the agent is not known to have; NULL: all are told of.
 */
static const char *
make_report(struct cli *c, const struct agent_has *has,
    const struct plan_object **next)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;
	size_t n = 0;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_key(&w, "certificates");
	json_w_open(&w, '[');
	for (; *next && n < REPORT_MAX; *next = (*next)->next) {
		const struct plan_object *o = *next;

		if (o->kind != PLAN_KNOWN || o->state != PLAN_NEW ||
		    find(has, o->found))
			continue;
		json_w_raw(&w, o->body);
		n++;
	}
	json_w_close(&w, ']');
	json_w_close(&w, '}');
	return n > 0 ? arena_strdup(c->arena, buf_cstr(&b)) : NULL;
}

static int
report(struct cli *c, const struct plan *p, const struct agent_has *has)
{
	const char *path = arena_printf(c->arena,
	    "/api/v1/agents/%s/discoveries", client_escape(c, p->opts->agent));
	const struct plan_object *next = p->objects;
	int exit_code = EXIT_DONE;

	while (next && exit_code == EXIT_DONE) {
		const char *body = make_report(c, has, &next);
		struct answer a;

		if (!body)
			break;
		if (call_is_dry(c, "POST", path, body))
			continue;
		a = client_call(c, "POST", path, body);
		exit_code = client_check(c, &a);
	}
	return exit_code;
}

/* k: NULL before it was reported, when it has no id. */
static int
claim(struct cli *c, const struct known *k, const char *certificate)
{
	const char *path =
	    arena_printf(c->arena, "/api/v1/discovered-certificates/%s/claim",
		k ? client_escape(c, k->id) : "{}");
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;
	struct answer a;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "managed_certificate_id", certificate);
	json_w_close(&w, '}');
	if (call_is_dry(c, "POST", path, buf_cstr(&b)))
		return EXIT_DONE;
	a = client_call(c, "POST", path, buf_cstr(&b));
	return client_check(c, &a);
}

static bool
has_new(const struct plan *p)
{
	for (const struct plan_object *o = p->objects; o; o = o->next) {
		if (o->kind == PLAN_KNOWN && o->state == PLAN_NEW)
			return true;
	}
	return false;
}

int
plan_known_apply(struct cli *c, const struct plan *p)
{
	bool is_dry = args_flag(c, "--dry-run");
	struct agent_has has;
	int exit_code;

	if (!has_new(p))
		return EXIT_DONE;
	exit_code = read_all(c, p->opts->agent, &has);
	if (exit_code == EXIT_DONE)
		exit_code = report(c, p, &has);
	if (exit_code == EXIT_DONE)
		exit_code = read_all(c, p->opts->agent, &has);
	for (const struct plan_object *o = p->objects;
	     o && exit_code == EXIT_DONE; o = o->next) {
		const struct known *k;

		if (o->kind != PLAN_KNOWN || o->state != PLAN_NEW)
			continue;
		k = find(&has, o->found);
		if (!k && !is_dry) {
			out_error("%s was reported, and the server does not "
				  "list it",
			    o->found->cert_path);
			return EXIT_FAILED;
		}
		exit_code = claim(c, k, o->id);
		if (exit_code == EXIT_DONE && !c->as_json && !is_dry)
			out_print("known     %s has %s\n", o->id,
			    o->found->cert_path);
	}
	return exit_code;
}
