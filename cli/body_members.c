#include "cli/body_members.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/body_set.h"
#include "cli/command.h"
#include "cli/near.h"
#include "cli/out.h"
#include "cli/talk.h"

/* --- what there is --- */

static bool
is_of_body(const struct option *o)
{
	return o->form != OPTION_OWN && !o->is_query;
}

/* The ith member, NULL behind the last; several may be the same. */
static const char *
member_at(struct arena *a, const struct command *m, size_t i)
{
	const struct option *o;
	const char *name;

	if (m->last_word && i-- == 0)
		return m->last_word;
	for (size_t at = 0; (o = command_next(m, &at, false)) != NULL;) {
		if (!is_of_body(o) || i-- > 0)
			continue;
		name = command_member(a, o);
		return arena_strndup(a, name, strcspn(name, "."));
	}
	return NULL;
}

static bool
is_among(struct arena *a, const struct command *m, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		const char *other = member_at(a, m, i);

		if (!other)
			return false;
		if (strcmp(other, name) == 0)
			return true;
	}
	return false;
}

/* where: what named it, before its message; "". */
static int
refuse(struct cli *c, const char *where, const char *name)
{
	const struct command *m = args_command(c);
	struct near near = {.word = name};
	const char *all = "", *member;

	for (size_t i = 0; (member = member_at(c->arena, m, i)) != NULL; i++) {
		if (is_among(c->arena, m, i, member))
			continue;
		near_look(&near, member);
		all = arena_printf(c->arena, "%s%s%s", all, all[0] ? ", " : "",
		    member);
	}
	out_error("%s%s %s has no member \"%s\"%s", where, m->noun, m->verb,
	    name, near_ask(c->arena, &near, ""));
	talk_folded(c->arena, 4,
	    arena_printf(c->arena, "its members: %s", all));
	return args_refuse(c);
}

static bool
is_member(struct cli *c, const char *name)
{
	return is_among(c->arena, args_command(c), SIZE_MAX, name);
}

/* What stands in the usage for the member that a word gives. */
static const char *
placeholder(struct cli *c)
{
	const struct command *m = args_command(c);
	size_t min, max, n;
	const char *word;

	command_words(m, &min, &max);
	word = command_word(m, max - 1, &n);
	return arena_strndup(c->arena, word, n);
}

/* --- --set --- */

/* The flag or the placeholder by which the member is given besides; NULL: it
 * is not. */
static const char *
given_by(struct cli *c, const char *key)
{
	const struct command *m = args_command(c);
	const struct option *o;

	if (args_body_word(c) && strcmp(m->last_word, key) == 0)
		return placeholder(c);
	for (size_t at = 0; (o = command_next(m, &at, false)) != NULL;) {
		if (is_of_body(o) && args_has(c, o->flag) &&
		    strcmp(command_member(c->arena, o), key) == 0)
			return o->flag;
	}
	return NULL;
}

int
body_members_check_sets(struct cli *c)
{
	const char *given, *other;
	struct body_set set;
	int exit_code;

	for (size_t at = 0; (given = args_next(c, "--set", &at)) != NULL;) {
		exit_code = body_set_read(c, given, &set);
		if (exit_code != EXIT_DONE)
			return exit_code;
		if (!is_member(c, set.path.names[0]))
			return refuse(c, "", set.path.names[0]);
		other = given_by(c, set.key);
		if (other) {
			out_error("%s is given twice: as %s and by --set",
			    set.key, other);
			return args_refuse(c);
		}
	}
	return EXIT_DONE;
}

/* --- --file --- */

/* Members of answers that no table shows. */
static const char *const untold[] = {"acknowledged", "certificate_profile_id",
    "change_pending", "created_at", "is_acme_default", "needs_renewal",
    "retired_at", "retired_reason", "revocation_reason", "revoked_at", "source",
    "tenant_id", "updated_at", "warnings"};

static bool
is_shown(const struct command *m, const char *name)
{
	for (size_t i = 0; m && m->members && m->members[i]; i++) {
		if (strcmp(m->members[i], name) == 0)
			return true;
	}
	return false;
}

static bool
is_of_answers(struct cli *c, const char *name)
{
	const struct command *m = args_command(c);

	for (size_t i = 0; i < ARRAY_LEN(untold); i++) {
		if (strcmp(untold[i], name) == 0)
			return true;
	}
	return is_shown(m, name) ||
	       is_shown(args_sibling(c, m->noun, "get"), name);
}

int
body_members_take_file(struct cli *c, const char *file, struct cJSON *object)
{
	const char *name = strcmp(file, "-") == 0 ? "standard input" : file;
	struct cJSON *item = object->child, *next;
	const char *left = "";

	for (; item; item = next) {
		next = item->next;
		if (is_member(c, item->string))
			continue;
		if (!is_of_answers(c, item->string))
			return refuse(c, arena_printf(c->arena, "%s: ", name),
			    item->string);
		left = arena_printf(c->arena, "%s%s%s", left,
		    left[0] ? ", " : "", item->string);
		cJSON_Delete(cJSON_DetachItemViaPointer(object, item));
	}
	if (left[0])
		talk_folded(c->arena, 4,
		    arena_printf(c->arena,
			"%s: not sent, because only answers have it: %s", name,
			left));
	return EXIT_DONE;
}

/* --- the word --- */

int
body_members_check_word(struct cli *c, const struct cJSON *body)
{
	const char *name = args_command(c)->last_word;

	if (!name || cJSON_GetObjectItemCaseSensitive(body, name))
		return EXIT_DONE;
	out_error("%s is missing: give it, or %s by --file or --set",
	    placeholder(c), name);
	return args_refuse(c);
}
