#include "cli/describe.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/listing_keys.h"
#include "cli/out.h"
#include "common/json/json.h"

static void
put_option(struct arena *a, struct json_w *w, const struct option *o)
{
	static const char *const forms[] = {
	    [OPTION_PLAIN] = "plain",
	    [OPTION_OWN] = "own",
	    [OPTION_TEXTS] = "texts",
	    [OPTION_INTS] = "ints",
	    [OPTION_TAGS] = "tags",
	    [OPTION_JSON] = "json",
	    [OPTION_FILE] = "file",
	};

	json_w_open(w, '{');
	json_w_kv(w, "flag", o->flag);
	json_w_kv_opt(w, "brief", o->brief);
	json_w_kv_opt(w, "takes", o->takes);
	json_w_kv(w, "help", o->help);
	if (o->form != OPTION_OWN)
		json_w_kv(w, "member", command_member(a, o));
	json_w_kv(w, "form", forms[o->form]);
	json_w_kv_opt(w, "null", o->null);
	json_w_kv_opt(w, "sends", o->sends);
	json_w_kv_opt(w, "default", o->dflt);
	json_w_kv_opt(w, "needs", o->needs);
	json_w_kv_bool(w, "required", o->is_required);
	json_w_kv_bool(w, "many", o->is_many);
	json_w_kv_bool(w, "query", o->is_query);
	json_w_kv_bool(w, "secret", o->secret == OPTION_SECRET);
	json_w_close(w, '}');
}

/* "GET /api/v1/jobs", without a query. */
static void
put_route(struct arena *a, struct json_w *w, const char *method,
    const char *path, size_t n)
{
	json_w_str(w,
	    arena_printf(a, "%s %.*s", method,
		(int)(strcspn(path, "?") < n ? strcspn(path, "?") : n), path));
}

static void
put_routes(struct arena *a, struct json_w *w, const struct command *m)
{
	json_w_key(w, "routes");
	json_w_open(w, '[');
	if (m->method)
		put_route(a, w, m->method, m->path, strlen(m->path));
	for (const char *p = m->calls; p && *p; p += *p == '\n') {
		size_t n = strcspn(p, "\n");

		json_w_str(w, arena_strndup(a, p, n));
		p += n;
	}
	json_w_close(w, ']');
}

/* What is asked of the server, or what is looked at here. */
static void
put_keys(struct arena *a, struct json_w *w, const struct command *m,
    bool is_sort, bool here)
{
	const char *name;
	bool is_here;

	json_w_open(w, '[');
	for (size_t i = 0; (name = listing_key(a, m, is_sort, i, &is_here));
	     i++) {
		if (is_here == here)
			json_w_str(w, name);
	}
	json_w_close(w, ']');
}

static void
put_listing(struct arena *a, struct json_w *w, const struct command *m)
{
	if (!(m->flags & COMMAND_LIST))
		return;
	json_w_key(w, "filters");
	put_keys(a, w, m, false, false);
	json_w_key(w, "filters_here");
	put_keys(a, w, m, false, true);
	json_w_key(w, "sorts");
	put_keys(a, w, m, true, false);
	json_w_key(w, "sorts_here");
	put_keys(a, w, m, true, true);
	json_w_kv_bool(w, "paged", m->flags & COMMAND_PAGED);
}

static void
put_command(struct arena *a, struct json_w *w, const struct command *m)
{
	const struct option *o;

	json_w_open(w, '{');
	json_w_kv(w, "noun", m->noun);
	json_w_kv_opt(w, "verb", m->verb);
	json_w_kv(w, "words", m->words);
	json_w_kv(w, "help", m->help);
	json_w_kv(w, "usage", command_usage(a, m));
	json_w_kv_opt(w, "method", m->method);
	json_w_kv_opt(w, "asks", m->asks);
	json_w_kv_opt(w, "last_word", m->last_word);
	json_w_kv_opt(w, "watches", m->watches);
	json_w_kv_opt(w, "rows", m->rows);
	json_w_kv_bool(w, "body", m->flags & COMMAND_BODY);
	json_w_kv_bool(w, "offline", m->flags & COMMAND_OFFLINE);
	json_w_kv_bool(w, "own", m->run != NULL);
	put_routes(a, w, m);
	put_listing(a, w, m);
	json_w_key(w, "options");
	json_w_open(w, '[');
	for (size_t at = 0; (o = command_next(m, &at, false)) != NULL;)
		put_option(a, w, o);
	json_w_close(w, ']');
	json_w_close(w, '}');
}

void
describe_table(struct arena *a)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_key(&w, "nouns");
	json_w_open(&w, '[');
	for (size_t i = 0; i < nnouns; i++) {
		json_w_open(&w, '{');
		json_w_kv(&w, "noun", nouns[i].name);
		json_w_kv(&w, "help", nouns[i].help);
		json_w_close(&w, '}');
	}
	json_w_close(&w, ']');
	json_w_key(&w, "options");
	json_w_open(&w, '[');
	for (size_t i = 0; command_options[i].flag; i++)
		put_option(a, &w, &command_options[i]);
	json_w_close(&w, ']');
	json_w_key(&w, "commands");
	json_w_open(&w, '[');
	for (size_t i = 0; i < ncommands; i++) {
		if (!(commands[i].flags & COMMAND_HIDDEN))
			put_command(a, &w, &commands[i]);
	}
	json_w_close(&w, ']');
	json_w_close(&w, '}');
	out_json(buf_cstr(&b));
}
