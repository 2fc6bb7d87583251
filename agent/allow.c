#include "agent/allow.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"

/* How much of a list or a command an error repeats. */
#define WORDS_MAX 400

static bool
is_default(const char *item)
{
	return strcmp(item, ALLOW_DEFAULT) == 0;
}

/* One spelling a path: absolute, nothing to resolve in its text. */
static bool
is_plain(const char *path)
{
	const char *part = path;
	size_t n;

	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	while (*part == '/') {
		part++;
		n = strcspn(part, "/");
		if (n == 0 || (n == 1 && part[0] == '.') ||
		    (n == 2 && memcmp(part, "..", 2) == 0))
			return false;
		part += n;
	}
	return true;
}

/* Whether path lies below dir: /etc/nginxevil is not below /etc/nginx. */
static bool
is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || n == 1);
}

static bool
is_dir_or_below(const char *path, const char *dir)
{
	return strcmp(path, dir) == 0 || is_below(path, dir);
}

/* The list, with the kind's own items once in the place of "default". */
static const char **
expand(struct arena *a, const char *const *list, const char *const *own)
{
	bool is_expanded = false;
	const char **all;
	size_t n = 1;

	for (size_t i = 0; list[i]; i++)
		n++;
	for (size_t i = 0; own[i]; i++)
		n++;
	all = arena_alloc(a, n * sizeof(*all));
	n = 0;
	for (size_t i = 0; list[i]; i++) {
		if (!is_default(list[i])) {
			all[n++] = list[i];
			continue;
		}
		for (size_t j = 0; own[j] && !is_expanded; j++)
			all[n++] = own[j];
		is_expanded = true;
	}
	all[n] = NULL;
	return all;
}

/* The items as one text for people. */
static const char *
joined(struct arena *a, const char *const *items, const char *between)
{
	const char *text;
	struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; items[i]; i++)
		buf_printf(&b, "%s%s", i > 0 ? between : "", items[i]);
	text = arena_printf(a, "%.*s%s", WORDS_MAX, buf_cstr(&b),
	    strlen(buf_cstr(&b)) > WORDS_MAX ? "..." : "");
	buf_fini(&b);
	return text;
}

static rc
refuse(const char **out_why, const char *why)
{
	*out_why = why;
	return RC_FORBIDDEN;
}

rc
allow_check(struct arena *a, const struct allow *w, const char **out_why)
{
	for (size_t i = 0; w->dirs[i]; i++) {
		if (is_default(w->dirs[i]) || is_plain(w->dirs[i]))
			continue;
		*out_why = arena_printf(a,
		    "CERTCTL_AGENT_TARGET_DIRS holds \"%s\"; each item is the "
		    "absolute path of a directory, without . .. // or a / at "
		    "the end, or the word " ALLOW_DEFAULT,
		    w->dirs[i]);
		return RC_INVALID;
	}
	for (size_t i = 0; w->commands[i]; i++) {
		size_t n = strcspn(w->commands[i], " \t");

		if (is_default(w->commands[i]) ||
		    is_plain(arena_strndup(a, w->commands[i], n)))
			continue;
		*out_why = arena_printf(a,
		    "CERTCTL_AGENT_COMMANDS holds \"%s\"; each item is the "
		    "absolute path of a program and its exact arguments, with "
		    "* as the last word for any, or the word " ALLOW_DEFAULT,
		    w->commands[i]);
		return RC_INVALID;
	}
	return RC_OK;
}

/* The nearest directory above path that is there, links resolved. */
static rc
resolve_above(const char *path, char out[PATH_MAX])
{
	char part[PATH_MAX];
	char *slash;

	memcpy(part, path, strlen(path) + 1);
	while ((slash = strrchr(part, '/')) != NULL && slash != part) {
		*slash = '\0';
		if (realpath(part, out))
			return RC_OK;
		if (errno != ENOENT && errno != ENOTDIR)
			return RC_IO;
	}
	memcpy(out, "/", 2);
	return RC_OK;
}

static bool
is_in_own_dir(const struct allow *w, const char *path)
{
	char real[PATH_MAX];

	for (size_t i = 0; w->own_dirs[i]; i++) {
		if (w->own_dirs[i][0] == '\0')
			continue;
		if (is_dir_or_below(path, w->own_dirs[i]) ||
		    (realpath(w->own_dirs[i], real) &&
			is_dir_or_below(path, real)))
			return true;
	}
	return false;
}

/* As it is spelt, and where the links of its directories lead. */
static bool
is_in_dirs(const char *const *dirs, const char *path, const char *above)
{
	bool is_spelt = false, is_there = false;
	char real[PATH_MAX];

	for (size_t i = 0; dirs[i]; i++) {
		is_spelt |= is_below(path, dirs[i]);
		is_there |= realpath(dirs[i], real) != NULL &&
			    is_dir_or_below(above, real);
	}
	return is_spelt && is_there;
}

static rc
check_path(struct arena *a, const struct allow *w, const char *const *dirs,
    const char *field, const char *path, const char **out_why)
{
	char above[PATH_MAX], real[PATH_MAX];

	if (!is_plain(path))
		return refuse(out_why,
		    arena_printf(a,
			"%s must be an absolute path of a file, without . .. "
			"or //",
			field));
	if (resolve_above(path, above) != RC_OK)
		return refuse(out_why,
		    arena_printf(a, "cannot resolve the links of %s %s: %s",
			field, path, strerror(errno)));
	if (is_in_own_dir(w, path) || is_in_own_dir(w, above) ||
	    (realpath(path, real) && is_in_own_dir(w, real)))
		return refuse(out_why,
		    arena_printf(a,
			"this host does not allow %s %s: it is "
			"in the agent's own directory or its CA bundle",
			field, path));
	if (is_in_dirs(dirs, path, above))
		return RC_OK;
	return refuse(out_why,
	    arena_printf(a,
		"this host does not allow %s %s (its directory is %s): its "
		"agent takes only existing directories below %s; "
		"CERTCTL_AGENT_TARGET_DIRS there says which",
		field, path, above, joined(a, dirs, ", ")));
}

/* The next word of *text, its length; 0 at the end. */
static size_t
next_word(const char **text)
{
	*text += strspn(*text, " \t");
	return strcspn(*text, " \t");
}

/* A program without a / is that of the listed path's last part. */
static bool
is_same_program(const char *listed, size_t n, const char *program)
{
	const char *base = listed + n;

	if (strlen(program) == n && memcmp(listed, program, n) == 0)
		return true;
	while (base > listed && base[-1] != '/')
		base--;
	return !strchr(program, '/') &&
	       strlen(program) == (size_t)(listed + n - base) &&
	       memcmp(base, program, strlen(program)) == 0;
}

static bool
is_same_command(const char *listed, const char *const *argv)
{
	size_t n = next_word(&listed);

	if (!is_same_program(listed, n, argv[0]))
		return false;
	for (size_t i = 1;; i++) {
		listed += n;
		n = next_word(&listed);
		if (n == 1 && listed[0] == '*' && listed[1] == '\0')
			return true;
		if (n == 0 || !argv[i])
			return n == 0 && !argv[i];
		if (strlen(argv[i]) != n || memcmp(listed, argv[i], n) != 0)
			return false;
	}
}

/* A program that others can change is theirs to choose, and not the host's.
 * The absence of one is said when it is started. */
static rc
check_program(struct arena *a, const char *field, const char *program,
    const char **out_why)
{
	const char *why = "";
	rc ret;

	ret = safedir_check_program(a, program, &why);
	if (ret == RC_OK || ret == RC_NOT_FOUND)
		return RC_OK;
	return refuse(out_why,
	    arena_printf(a,
		"%s would run %s, which others than root and this agent's user "
		"could change: %s",
		field, program, why));
}

static rc
check_command(struct arena *a, const char *const *commands, const char *field,
    const char **argv, const char **out_why)
{
	const char *found = NULL;

	if (!argv[0])
		return RC_OK;
	for (size_t i = 0; commands[i]; i++) {
		const char *item = commands[i], *path;
		size_t n = next_word(&item);

		if (!is_same_command(commands[i], argv))
			continue;
		path = arena_strndup(a, item, n);
		/* Of several places the first that has it; of none the first,
		 * whose absence is then said. */
		if (!found || access(path, X_OK) == 0)
			found = path;
		if (access(path, X_OK) == 0)
			break;
	}
	if (found) {
		argv[0] = found;
		return check_program(a, field, found, out_why);
	}
	return refuse(out_why,
	    arena_printf(a,
		"this host does not allow %s \"%s\": its agent runs only: %s; "
		"CERTCTL_AGENT_COMMANDS there says which",
		field, joined(a, argv, " "), joined(a, commands, ", ")));
}

const struct safedir_bounds *
allow_bounds(struct arena *a, const struct allow *w,
    const struct target_kind *kind)
{
	struct safedir_bounds *b = arena_alloc(a, sizeof(*b));

	b->within = expand(a, w->dirs, kind->dirs);
	b->without = w->own_dirs;
	return b;
}

rc
allow_plan(struct arena *a, const struct allow *w,
    const struct target_kind *kind, struct target_plan *plan,
    const char **out_why)
{
	const char **commands = expand(a, w->commands, kind->commands);
	const char **dirs = expand(a, w->dirs, kind->dirs);
	rc ret;

	ret = check_path(a, w, dirs, "cert_path", plan->cert_path, out_why);
	if (ret == RC_OK)
		ret =
		    check_path(a, w, dirs, "key_path", plan->key_path, out_why);
	if (ret == RC_OK && plan->chain_path)
		ret = check_path(a, w, dirs, "chain_path", plan->chain_path,
		    out_why);
	if (ret == RC_OK)
		ret = check_command(a, commands, "validate_command",
		    plan->test_argv, out_why);
	if (ret == RC_OK)
		ret = check_command(a, commands, "reload_command",
		    plan->reload_argv, out_why);
	return ret;
}

rc
allow_versions(struct arena *a, const struct allow *w,
    const struct target_kind *kind, const char *dir, const char **out_why)
{
	return check_path(a, w, expand(a, w->dirs, kind->dirs),
	    "the directory of versions", arena_printf(a, "%s/v", dir), out_why);
}
