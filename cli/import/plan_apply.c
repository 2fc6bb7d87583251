#include "cli/import/plan.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "cli/call.h"
#include "cli/out.h"
#include "common/base/buf.h"
#include "common/json/json.h"

static int
create(struct cli *c, const struct plan_object *o)
{
	struct answer a;
	int exit_code;

	if (call_is_dry(c, "POST", plan_list(o->kind), o->body))
		return EXIT_DONE;
	a = client_call(c, "POST", plan_list(o->kind), o->body);
	exit_code = client_check(c, &a);
	if (exit_code == EXIT_DONE && !c->as_json)
		out_print("created   %-14s  %s\n", plan_word(o->kind), o->id);
	return exit_code;
}

/* Those of the certificate that is there, and ours. */
static const char *
more_targets(struct cli *c, const struct cJSON *there, const struct cJSON *ours)
{
	const struct cJSON *list = json_get(there, "target_ids"), *one;
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_key(&w, "target_ids");
	json_w_open(&w, '[');
	cJSON_ArrayForEach(one, list) if (cJSON_IsString(one))
	    json_w_str(&w, one->valuestring);
	cJSON_ArrayForEach(one, json_get(ours, "target_ids"))
	{
		const struct cJSON *same;
		bool is_there = false;

		cJSON_ArrayForEach(same, list) is_there =
		    is_there || cJSON_Compare(same, one, true);
		if (!is_there)
			json_w_str(&w, one->valuestring);
	}
	json_w_close(&w, ']');
	json_w_close(&w, '}');
	return arena_strdup(c->arena, buf_cstr(&b));
}

static int
add_targets(struct cli *c, const struct plan_object *o)
{
	const char *path = arena_printf(c->arena, "%s/%s", plan_list(o->kind),
	    client_escape(c, o->id));
	struct answer a = client_call(c, "GET", path, NULL);
	int exit_code = client_check_json(c, &a);
	const struct cJSON *ours;
	const char *why, *body;
	rc ret;

	if (exit_code != EXIT_DONE)
		return exit_code;
	ret = json_parse(c->arena, o->body, strlen(o->body), &ours, &why);
	if (ret != RC_OK) {
		out_error("%s: %s", o->id, why);
		return EXIT_FAILED;
	}
	body = more_targets(c, a.json, ours);
	if (call_is_dry(c, "PUT", path, body))
		return EXIT_DONE;
	a = client_call(c, "PUT", path, body);
	exit_code = client_check(c, &a);
	if (exit_code == EXIT_DONE && !c->as_json)
		out_print("extended  %-14s  %s\n", plan_word(o->kind), o->id);
	return exit_code;
}

int
plan_apply(struct cli *c, const struct plan *p)
{
	int exit_code = EXIT_DONE;

	for (const struct plan_object *o = p->objects;
	     o && exit_code == EXIT_DONE; o = o->next) {
		if (o->kind == PLAN_KNOWN)
			continue;
		if (o->state == PLAN_NEW)
			exit_code = create(c, o);
		else if (o->state == PLAN_MORE)
			exit_code = add_targets(c, o);
		if (exit_code != EXIT_DONE)
			out_tell("%s %s was not made; what stands above was",
			    plan_word(o->kind), o->id);
	}
	return exit_code == EXIT_DONE ? plan_known_apply(c, p) : exit_code;
}
