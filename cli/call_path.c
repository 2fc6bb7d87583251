#include <string.h>

#include "cli/args.h"
#include "cli/call.h"

const char *
call_query(struct cli *c, const char *path, const char *name, const char *value)
{
	return arena_printf(c->arena, "%s%c%s=%s", path,
	    strchr(path, '?') ? '&' : '?', name, client_escape(c, value));
}

const char *
call_path(struct cli *c, const char *path)
{
	const struct command *m = args_command(c);
	bool is_read = !m->method || strcmp(m->method, "GET") == 0 ||
		       strcmp(m->method, "DELETE") == 0;
	const struct option *o;
	const char *out = "", *hole;
	size_t word = 0;

	for (; (hole = strstr(path, "{}")) != NULL; path = hole + 2)
		out =
		    arena_printf(c->arena, "%s%.*s%s", out, (int)(hole - path),
			path, client_escape(c, args_word(c, word++)));
	out = arena_printf(c->arena, "%s%s", out, path);
	for (size_t at = 0; (o = command_next(m, &at, false)) != NULL;) {
		if (o->form == OPTION_OWN || !(is_read || o->is_query) ||
		    !args_has(c, o->flag))
			continue;
		out = call_query(c, out, command_member(c->arena, o),
		    o->takes ? args_value(c, o->flag)
			     : (o->sends ? o->sends : "true"));
	}
	return out;
}
