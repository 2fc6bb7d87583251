#include "cli/fix.h"

#include <string.h>

#include "cli/args.h"
#include "cli/command.h"

/* Words of the server (test_cli_fixes.py holds that they are). */
#define UNKNOWN ": what it refers to does not exist"
#define OF_ENVIRONMENT "The environment of the server names this key"

/* Needs no quotes in any shell. */
#define PLAIN \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-"

/* The option that gives that member of the body, or NULL. */
static const struct option *
option_of(const struct cli *c, const struct command *m, const char *member,
    size_t n)
{
	const struct option *o;

	for (size_t at = 0; (o = command_next(m, &at, false)) != NULL;) {
		const char *its = command_member(c->arena, o);

		if (strlen(its) == n && memcmp(its, member, n) == 0)
			return o;
	}
	return NULL;
}

/* The command's first word, as it can be given again; ID: it would have to be
 * quoted. */
static const char *
first_word(const struct cli *c)
{
	const char *word = args_count(c) > 0 ? args_word(c, 0) : "";

	return word[0] && word[strspn(word, PLAIN)] == '\0' ? word : "ID";
}

/* With the first word in the place of each {}. */
static const char *
filled(const struct cli *c, const char *template)
{
	const char *text = "", *hole;

	for (; (hole = strstr(template, "{}")) != NULL; template = hole + 2)
		text = arena_printf(c->arena, "%s%.*s%s", text,
		    (int)(hole - template), template, first_word(c));
	return arena_printf(c->arena, "%s%s", text, template);
}

/* "owner_id: what it refers to does not exist" */
static const char *
fix_unknown(const struct cli *c, const struct command *m, const char *why)
{
	const char *end = strstr(why, UNKNOWN), *noun = NULL;
	const struct option *o;

	o = end ? option_of(c, m, why, (size_t)(end - why)) : NULL;
	if (o && o->takes)
		noun = command_noun_of(o->takes, strcspn(o->takes, " .],"),
		    m->noun);
	if (!noun || !args_sibling(c, noun, "list"))
		return NULL;
	return arena_printf(c->arena,
	    "Give %s one that certctl %s list shows%s%s%s.", o->flag, noun,
	    args_sibling(c, noun, "create") ? ", or make it: certctl " : "",
	    args_sibling(c, noun, "create") ? noun : "",
	    args_sibling(c, noun, "create") ? " create" : "");
}

/* "A team with this name already exists" */
static const char *
fix_taken(const struct cli *c, const struct command *m, const char *why)
{
	bool is_id = strstr(why, "with this id already") != NULL;

	if (!is_id && !strstr(why, "with this name already") &&
	    !strstr(why, "with that name already") &&
	    !strstr(why, "This name is taken"))
		return NULL;
	if (!args_sibling(c, m->noun, "list"))
		return NULL;
	return arena_printf(c->arena,
	    "Give another %s, or go on with the one that has it: certctl %s "
	    "list shows it.",
	    is_id ? "id (--id)" : "name", m->noun);
}

/* What is told by the server's words alone; {} is the first word. */
static const char *
fix_told(const struct cli *c, const char *why)
{
	static const struct {
		const char *words, *fix;
	} all[] = {
	    {"it was never issued", "Have it issued, then do this again: "
				    "certctl certs renew {} --wait."},
	    {"Cannot delete team: owners or certificates still belong",
		"Give them another team first: certctl owners list --team-id "
		"{} and certctl certs list --team-id {} show them."},
	    {"Cannot delete owner: certificates are still assigned",
		"Give them another owner first: certctl certs list --owner-id "
		"{} shows them."},
	    {"Cannot delete issuer: certificates are still using",
		"Give them another issuer first: certctl certs list "
		"--issuer-id {} shows them."},
	    {"depend on this agent; retire it", "To retire it with all of "
						"them: certctl agents retire "
						"{} --force --reason "
						"\"WHY\"."},
	    {"force=true requires a non-empty reason",
		"Say why: certctl agents retire {} --force --reason \"WHY\"."},
	    {"cannot renew revoked certificate",
		"Make another in its place: certctl certs create; certctl "
		"explain certificate {} says what became of this one."},
	    {"renewal already in progress",
		"certctl explain certificate {} says what it waits for; "
		"certctl jobs list --certificate-id {} has its jobs."},
	    {"certificate's issuer is disabled",
		"certctl explain certificate {} names the issuer: certctl "
		"issuers update ISSUER --enabled true."},
	    {"digest service not configured",
		"Set CERTCTL_DIGEST_ENABLED=true for every apiserver and "
		"scheduler, and mail for the workers (CERTCTL_SMTP_HOST), and "
		"start them anew."},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strstr(why, all[i].words))
			return filled(c, all[i].fix);
	}
	return NULL;
}

/* The list of what the command's first word names, which is not there. */
static const char *
fix_absent(const struct cli *c, const struct command *m)
{
	const char *noun = NULL, *word;
	size_t n;

	if (strcmp(m->noun, "explain") == 0 && args_count(c) > 0) {
		noun = strcmp(args_word(c, 0), "certificate") == 0 ? "certs"
		       : strcmp(args_word(c, 0), "target") == 0    ? "targets"
								   : "jobs";
	} else {
		word = command_word(m, 0, &n);
		noun = word ? command_noun_of(word, n, m->noun) : NULL;
	}
	if (!noun || !args_sibling(c, noun, "list"))
		return NULL;
	return arena_printf(c->arena,
	    "certctl %s list shows what there is: ids and names are given "
	    "whole.",
	    noun);
}

/* Of a refusal of this very command; NULL: the status says as much. */
static const char *
fix_of_words(const struct cli *c, const struct answer *a, const char *why)
{
	const struct command *m = c->args ? args_command(c) : NULL;
	const char *fix;

	if (!m || a->status < 400)
		return NULL;
	fix = fix_told(c, why);
	if (fix || a->status >= 500)
		return fix;
	if (strstr(why, OF_ENVIRONMENT))
		return "Change it in CERTCTL_API_KEYS_NAMED (or the file of "
		       "CERTCTL_API_KEYS_NAMED_FILE) of every apiserver, the "
		       "new value beside the old one: \"Rotation of the "
		       "environment's keys\" in "
		       "docs/operator/keys-and-roles.md.";
	fix = fix_unknown(c, m, why);
	if (!fix)
		fix = fix_taken(c, m, why);
	if (!fix && a->status == 404)
		fix = fix_absent(c, m);
	if (fix || a->status != 400)
		return fix;
	return arena_printf(c->arena,
	    "Change what the answer names; certctl %s%s%s --help has the "
	    "words.",
	    m->noun, m->verb ? " " : "", m->verb ? m->verb : "");
}

static const char *
fix_of_status(int status)
{
	static const struct {
		int status;
		const char *fix;
	} all[] = {
	    {400, "Change what the answer names; certctl help has the "
		  "words."},
	    {401, "Set CERTCTL_API_KEY to a valid key."},
	    {403, "Use a key whose role has this right, or ask for it."},
	    {404, "Look for it with the list command: ids and names are "
		  "given whole."},
	    {409, "Look how it is now, then try again if it still makes "
		  "sense."},
	    {412, "It has changed meanwhile: look at it, then try again."},
	    {413, "Send less at once."},
	    {422, "Change what the answer names."},
	    {503, "certctl status says what is wrong; then try again."},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].status == status)
			return all[i].fix;
	}
	return status >= 500 ? "The apiserver's log says more, by the "
			       "request's id."
			     : NULL;
}

const char *
fix_of(const struct cli *c, const struct answer *a, const char *why)
{
	const char *fix;

	if (a->status == 0)
		return a->fix;
	fix = a->status >= 500 ? fix_of_words(c, a, why) : NULL;
	if (fix)
		return fix;
	if (a->retry_after_s > 0)
		return arena_printf(c->arena, "Try again in %lld s.",
		    (long long)a->retry_after_s);
	if (a->status >= 300 && a->status < 400)
		return "A redirect is not followed: give the server itself as "
		       "CERTCTL_SERVER_URL.";
	fix = fix_of_words(c, a, why);
	return fix ? fix : fix_of_status(a->status);
}
