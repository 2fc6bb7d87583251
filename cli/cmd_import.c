/*
 * import: certificates that other tools keep on this host are adopted.  A plan
 * comes first, and with --apply its objects are made through the API.
 */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/body_value.h"
#include "cli/cli.h"
#include "cli/count.h"
#include "cli/import/import.h"
#include "cli/import/plan.h"
#include "cli/import/readers.h"
#include "cli/import/renewals.h"
#include "cli/import/servers.h"
#include "cli/names.h"
#include "cli/out.h"
#include "common/json/json.h"

static int
find(struct cli *c, struct import *im, const char *etc)
{
	import_init(im, c->arena);
	for (size_t i = 0; i < args_count(c); i++) {
		if (!readers_read(im, args_word(c, i))) {
			out_error("%s: there is no such directory or file",
			    args_word(c, i));
			return EXIT_NOT_FOUND;
		}
	}
	plan_merge(im);
	servers_find(im, etc);
	renewals_find(im, etc);
	return EXIT_DONE;
}

/* Which options the server's objects need and were not given, or NULL. */
static const char *
find_missing(struct cli *c, const struct plan *p)
{
	const struct {
		const char *option, *value, *list;
		bool is_needed;
	} all[] = {
	    {"--owner-id", p->opts->owner, "certctl owners list", true},
	    {"--team-id", p->opts->team, "certctl teams list", true},
	    {"--issuer-id", p->opts->issuer, "certctl issuers list", true},
	    {"--agent-id", p->opts->agent, "certctl agents list",
		p->ntargets > 0 || p->nknown > 0},
	};
	const char *text = NULL;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (!all[i].is_needed || all[i].value)
			continue;
		text = arena_printf(c->arena, "%s%s%s (%s)", text ? text : "",
		    text ? ", " : "", all[i].option, all[i].list);
	}
	return text;
}

static size_t
count(const struct plan *p, enum plan_state state)
{
	size_t n = 0;

	for (const struct plan_object *o = p->objects; o; o = o->next)
		n += o->state == state;
	return n;
}

static int
apply(struct cli *c, const struct plan *p)
{
	int exit_code = EXIT_DONE;

	if (count(p, PLAN_NEW) + count(p, PLAN_MORE) == 0) {
		if (!c->as_json)
			out_print("\nAll of it is there already; nothing was "
				  "changed.\n");
		return EXIT_DONE;
	}
	if (!args_flag(c, "--yes"))
		exit_code = confirm();
	if (exit_code == EXIT_DONE)
		exit_code = plan_apply(c, p);
	if (exit_code == EXIT_DONE && !c->as_json)
		plan_print_next(c, p);
	return exit_code;
}

/* The plan is printed; whether the server was asked says missing. */
static int
go_on(struct cli *c, const struct plan *p, const char *missing)
{
	size_t conflicts = count(p, PLAN_CONFLICT);

	(void)fflush(stdout); /* out_flush tells at the end */
	if (missing) {
		out_tell("The server was not asked, for these options are "
			 "missing: %s",
		    missing);
		return args_flag(c, "--apply") || args_flag(c, "--dry-run")
			   ? EXIT_USAGE
			   : EXIT_DONE;
	}
	if (conflicts > 0) {
		out_error("%s: nothing was changed.  Change what "
			  "is there, or name fewer directories or files",
		    count_of(c->arena, (int64_t)conflicts, "conflict",
			"conflicts"));
		return EXIT_CONFLICT;
	}
	if (args_flag(c, "--dry-run"))
		return plan_apply(c, p);
	if (args_flag(c, "--apply"))
		return apply(c, p);
	out_tell("Nothing was changed; --apply does it.");
	return EXIT_DONE;
}

/* --tags as JSON; NULL: not given.  False, told: they are no tags. */
static bool
read_tags(struct cli *c, const char **out)
{
	static const struct option tags = {.flag = "--tags",
	    .takes = "KEY=VALUE,KEY=VALUE",
	    .form = OPTION_TAGS};
	const char *text = args_value(c, tags.flag);
	struct cJSON *json;

	*out = NULL;
	if (!text)
		return true;
	json = body_value_given(c, &tags, text);
	if (json)
		*out = json_text(c->arena, json);
	cJSON_Delete(json);
	return json != NULL;
}

static struct plan_opts
read_opts(struct cli *c, const char *tags)
{
	return (struct plan_opts){.owner = args_value(c, "--owner-id"),
	    .team = args_value(c, "--team-id"),
	    .issuer = args_value(c, "--issuer-id"),
	    .agent = args_value(c, "--agent-id"),
	    .policy = args_value(c, "--renewal-policy-id"),
	    .environment = args_value(c, "--environment"),
	    .tags = tags,
	    .validate = args_value(c, "--validate-command"),
	    .reload = args_value(c, "--reload-command")};
}

int
cmd_import(struct cli *c)
{
	const char *etc = args_value(c, "--etc"), *missing, *tags;
	struct plan_opts opts;
	struct import *im = arena_alloc(c->arena, sizeof(*im));
	int exit_code = args_goes_with(c, "--yes", "--apply");
	struct plan plan;

	if (exit_code == EXIT_DONE && !read_tags(c, &tags))
		exit_code = EXIT_USAGE;
	if (exit_code == EXIT_DONE)
		exit_code = find(c, im, etc ? etc : "/etc");
	if (exit_code != EXIT_DONE)
		return exit_code;
	opts = read_opts(c, tags);
	plan_make(c->arena, im, &opts, &plan);
	missing = find_missing(c, &plan);
	if (!missing) {
		exit_code = names_before(c, NULL);
		opts = read_opts(c, tags);
		plan_make(c->arena, im, &opts, &plan);
	}
	if (!missing && exit_code == EXIT_DONE)
		exit_code = plan_check(c, &plan);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!c->as_json)
		plan_print(c, im, &plan);
	else if (!args_flag(c, "--dry-run")) /* the calls are the data then */
		plan_print_json(c, im, &plan);
	if (im->nfound == 0) {
		out_error("no certificate was found there");
		return EXIT_NOT_FOUND;
	}
	return go_on(c, &plan, missing);
}
