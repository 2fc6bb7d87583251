#include "cli/call.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/body.h"
#include "cli/body_members.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/watch.h"
#include "common/json/json.h"

/* --- sentences --- */

/* The text with {0} as the first word and {name} as that of the answer. */
static const char *
fill(struct cli *c, const char *text, const struct cJSON *json)
{
	const char *out = "", *open, *close, *value, *name;

	while ((open = strchr(text, '{')) && (close = strchr(open, '}'))) {
		name = arena_strndup(c->arena, open + 1,
		    (size_t)(close - open - 1));
		value = name[0] >= '0' && name[0] <= '9'
			    ? args_word(c, (size_t)(name[0] - '0'))
			    : cell(c, json, name);
		out = arena_printf(c->arena, "%s%.*s%s", out,
		    (int)(open - text), text, value);
		text = close + 1;
	}
	return arena_printf(c->arena, "%s%s", out, text);
}

/* --- the call --- */

static bool
is_dry(const struct cli *c, const struct command *m)
{
	return m->flags & COMMAND_CALL && args_flag(c, "--dry-run");
}

static int
agree(struct cli *c, const struct command *m)
{
	if (!m->asks || args_flag(c, "--yes") ||
	    (m->asks_with && !args_flag(c, m->asks_with)) || is_dry(c, m))
		return EXIT_DONE;
	out_tell("%s", fill(c, m->asks, NULL));
	return confirm();
}

/* Whether the object must be read before its body can be made. */
static bool
needs_base(const struct cli *c, const struct command *m)
{
	return m->flags & COMMAND_BODY && strcmp(m->method, "PUT") == 0 &&
	       body_needs_base(c);
}

struct sending {
	const char *body; /* NULL: the call has none */
	bool is_made;     /* the body, if there is one */
	bool is_over;     /* --dry-run showed the call */
};

/* Where the object that it goes by is not there, *out is the answer. */
static int
make_body(struct cli *c, const struct command *m, struct sending *s,
    struct answer *out)
{
	struct answer base = {.json = NULL};

	if (needs_base(c, m)) {
		base = client_call(c, "GET", call_path(c, m->path), NULL);
		if (base.status != 200 || !base.json) {
			*out = base;
			return EXIT_DONE; /* the caller tells why */
		}
	}
	s->is_made = true;
	return body_make(c, base.json, NULL, &s->body);
}

static void
send_once(struct cli *c, const struct command *m, struct sending *s,
    struct answer *out)
{
	const char *path = call_path(c, m->path);

	s->is_over = is_dry(c, m) && call_is_dry(c, m->method, path, s->body);
	if (!s->is_over)
		*out = client_call(c, m->method, path, s->body);
}

/* Again, if there are ids for what may be names. */
static int
send_by_id(struct cli *c, const struct command *m, struct sending *s,
    struct answer *out)
{
	bool has_ids, was_made = s->is_made;
	int exit_code = names_of_call(c, &s->body, &has_ids);

	if (exit_code != EXIT_DONE || !has_ids)
		return exit_code;
	if (!was_made)
		exit_code = make_body(c, m, s, out);
	if (exit_code == EXIT_DONE && s->is_made && !was_made)
		exit_code = names_of_call(c, &s->body, &has_ids);
	if (exit_code == EXIT_DONE && s->is_made)
		send_once(c, m, s, out);
	return exit_code;
}

int
call_send(struct cli *c, struct answer *out, bool *out_is_over)
{
	const struct command *m = args_command(c);
	struct sending s = {.body = NULL};
	int exit_code = EXIT_DONE;

	*out = (struct answer){.json = NULL};
	*out_is_over = false;
	if (m->flags & COMMAND_BODY)
		exit_code = body_members_check_sets(c);
	if (exit_code == EXIT_DONE)
		exit_code = agree(c, m);
	if (exit_code == EXIT_DONE)
		exit_code = make_body(c, m, &s, out);
	if (exit_code == EXIT_DONE && s.is_made && is_dry(c, m))
		exit_code = names_before_call(c, &s.body);
	if (exit_code == EXIT_DONE && s.is_made)
		send_once(c, m, &s, out);
	if (exit_code == EXIT_DONE && !s.is_over && names_may_help(c, out))
		exit_code = send_by_id(c, m, &s, out);
	*out_is_over = s.is_over;
	if (exit_code != EXIT_DONE || s.is_over)
		return exit_code;
	/* Done without a word, or in others than JSON. */
	if (m->flags & COMMAND_TEXT)
		return client_check_text(c, out);
	return out->status == 204 ? client_check(c, out)
				  : client_check_json(c, out);
}

/* --- all of it --- */

static int
show_text(struct cli *c, const struct answer *a)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	if (!c->as_json) {
		out_print("%s", a->text);
		return EXIT_DONE;
	}
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "text", a->text);
	json_w_close(&w, '}');
	render_text(c, buf_cstr(&b));
	return EXIT_DONE;
}

int
call_show(struct cli *c, const struct answer *a)
{
	const char *const *members = args_command(c)->members;
	size_t n = 0;

	while (members[n])
		n++;
	if (a->json && client_check_object(c, a, members, n) != EXIT_DONE)
		return EXIT_FAILED;
	show_answer(c, a, members, n);
	return EXIT_DONE;
}

static int
look_at(struct cli *c, const char *path, struct answer *out)
{
	*out = client_call(c, "GET", call_path(c, path), NULL);
	return EXIT_DONE;
}

static int
show_object(struct cli *c, const struct answer *a)
{
	int exit_code = client_check_json(c, a);

	return exit_code == EXIT_DONE ? call_show(c, a) : exit_code;
}

static int
run_object(struct cli *c, const struct command *m, const struct answer *a)
{
	int exit_code = call_show(c, a);

	return exit_code == EXIT_DONE && watch_is_wanted(c)
		   ? watch_go_on(c,
			 &(struct watched){.path = m->path,
			     .look = look_at,
			     .show = show_object},
			 a)
		   : exit_code;
}

int
call_run(struct cli *c)
{
	const struct command *m = args_command(c);
	struct answer a = {.status = 0};
	bool is_over;
	int exit_code;

	if (m->flags & COMMAND_LIST)
		return call_list(c, m->path);
	exit_code = watch_check(c);
	if (exit_code != EXIT_DONE)
		return exit_code;
	exit_code = call_send(c, &a, &is_over);
	if (exit_code != EXIT_DONE || is_over)
		return exit_code;
	if (m->flags & COMMAND_TEXT)
		return show_text(c, &a);
	if (a.json && json_get(a.json, "pending_approval_id"))
		return show_done(c, &a,
		    fill(c,
			"nothing is changed before somebody else approves: "
			"certctl approvals approve {pending_approval_id}",
			a.json));
	if (!m->members)
		return show_done(c, &a, fill(c, m->done, a.json));
	return run_object(c, m, &a);
}
