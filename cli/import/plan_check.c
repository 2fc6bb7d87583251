#include "cli/import/plan.h"

#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/names.h"
#include "common/json/json.h"

/* Two certificates of the host that want one id. */
static const struct plan_object *
find_rival(const struct plan *p, const struct plan_object *of)
{
	for (const struct plan_object *o = p->objects; o != of; o = o->next) {
		if (o->kind == of->kind && strcmp(o->id, of->id) == 0)
			return o;
	}
	return NULL;
}

static void
judge(struct plan *p, struct plan_object *o, const struct cJSON *there)
{
	const struct cJSON *body;
	const char *why;
	bool is_lack;
	rc ret;

	ret = json_parse(p->arena, o->body, strlen(o->body), &body, &why);
	if (ret == RC_OK)
		why = plan_differs(p->arena, body, there, &is_lack);
	else
		is_lack = false;
	o->why = why ? why : "";
	o->state = !why ? PLAN_THERE : is_lack ? PLAN_MORE : PLAN_CONFLICT;
}

/* None has the id; the server would refuse another of a name that one has. */
static void
judge_name(struct cli *c, struct plan *p, struct plan_object *o)
{
	static const char *const kinds[] = {"renewal-policies", "targets",
	    "certs"};
	const char *name = NULL, *other, *why;
	const struct cJSON *body;
	rc ret;

	o->state = PLAN_NEW;
	ret = json_parse(p->arena, o->body, strlen(o->body), &body, &why);
	if (ret == RC_OK)
		ret = json_str(body, "name", SIZE_MAX, &name);
	if (ret != RC_OK)
		return;
	other = names_holder(c, kinds[o->kind], name);
	if (!other)
		return;
	o->state = PLAN_CONFLICT;
	o->why = arena_printf(p->arena,
	    "%s has the name \"%s\" there: rename it, or add what this host "
	    "serves to it",
	    other, name);
}

static int
ask(struct cli *c, struct plan *p, struct plan_object *o)
{
	struct answer a = client_call(c, "GET",
	    arena_printf(c->arena, "%s/%s", plan_list(o->kind),
		client_escape(c, o->id)),
	    NULL);
	int exit_code;

	if (a.status == 404) {
		judge_name(c, p, o);
		return EXIT_DONE;
	}
	exit_code = client_check_json(c, &a);
	if (exit_code == EXIT_DONE)
		judge(p, o, a.json);
	return exit_code;
}

int
plan_check(struct cli *c, struct plan *p)
{
	int exit_code = EXIT_DONE;

	for (struct plan_object *o = p->objects; o && exit_code == EXIT_DONE;
	     o = o->next) {
		const struct plan_object *rival = find_rival(p, o);

		if (o->kind == PLAN_KNOWN)
			continue;
		exit_code = ask(c, p, o);
		if (rival && exit_code == EXIT_DONE) {
			o->state = PLAN_CONFLICT;
			o->why = arena_printf(p->arena,
			    "%s and %s of this host want the same id",
			    rival->found ? rival->found->source : "another",
			    o->found ? o->found->source : "this");
		}
	}
	return exit_code == EXIT_DONE ? plan_known_check(c, p) : exit_code;
}
