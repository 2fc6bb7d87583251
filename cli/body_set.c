#include "cli/body_set.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/out.h"

/* The name that begins at text goes to *out; what is behind it. */
static const char *
read_name(const char *text, char *out)
{
	while (*text && *text != '.') {
		text += *text == '\\';
		*out++ = *text++;
	}
	*out = '\0';
	return text;
}

const char *
body_path_read(struct arena *a, const char *text, struct body_path *out)
{
	struct body_path path = {.n = 1};
	char *name;

	for (const char *p = text; *p; p++) {
		path.n += *p == '.';
		if (*p != '\\')
			continue;
		p++;
		if (*p != '.' && *p != '\\')
			return "a backslash stands before . or \\ alone";
	}
	path.names = arena_alloc(a, path.n * sizeof(*path.names));
	for (size_t i = 0; i < path.n; i++) {
		name = arena_alloc(a, strlen(text) + 1);
		text = read_name(text, name);
		if (!name[0])
			return "a name is empty";
		path.names[i] = name;
		text += *text == '.';
	}
	*out = path;
	return NULL;
}

int
body_set_read(struct cli *c, const char *given, struct body_set *out)
{
	const char *value = strchr(given, '='), *why;
	struct body_set set;

	if (!value) {
		out_error("--set takes KEY=VALUE or KEY:=JSON, not \"%s\"",
		    given);
		return EXIT_USAGE;
	}
	set.is_json = value > given && value[-1] == ':';
	set.key = arena_strndup(c->arena, given,
	    (size_t)(value - given) - set.is_json);
	set.value = value + 1;
	why = body_path_read(c->arena, set.key, &set.path);
	if (why) {
		out_error("--set takes KEY=VALUE or KEY:=JSON, not \"%s\": %s",
		    given, why);
		return EXIT_USAGE;
	}
	*out = set;
	return EXIT_DONE;
}

bool
body_set_is_deep(const char *given)
{
	for (const char *p = given; *p && *p != '='; p++) {
		if (*p == '.')
			return true;
		if (*p == '\\' && p[1])
			p++;
	}
	return false;
}
