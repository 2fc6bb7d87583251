#include "cli/command.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/listing_keys.h"
#include "cli/moment.h"
#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/enc.h"

/* --- options --- */

#define FORMATS "table|wide|json|yaml|csv|name"

const struct option command_options[] = {
    {"-o", FORMATS,
	"how the answer is printed: wide is a table that is cut nowhere, json "
	"the API's answer, name ids, one a line"},
    {"--output", FORMATS, "the same"},
    {"--format", FORMATS, "the same"},
    {"--json", NULL, "the same as -o json"},
    {"--fields", "NAME,NAME",
	"these members alone, in any format; of a member's with a dot"},
    {"--color", "auto|always|never", "auto is on a terminal, without NO_COLOR"},
    {"--context", "CONTEXT",
	"a server of certctl context list; else CERTCTL_CONTEXT, else the one "
	"in use where no server is given"},
    {"--server", "URL",
	"the server; else CERTCTL_SERVER_URL, else "
	"https://localhost:8443"},
    {"--api-key", "KEY",
	"the key; the variable CERTCTL_API_KEY keeps it out "
	"of the list of processes"},
    {"--ca-bundle", "FILE",
	"whom the server's certificate must be of; else "
	"CERTCTL_SERVER_CA_BUNDLE_PATH, else the "
	"system's"},
    {"--insecure", NULL, "skip verification of the server"},
    {NULL},
};

static const struct option page_options[] = {
    {"--page", "1..1000000000", "that page"},
    {"--per-page", "1..500", "rows of a page; 50 without it"},
    {"--limit", "1..1000000000",
	"so many rows, of as many pages as that "
	"takes",
	OPTION_OWN},
    {"--all", NULL, "all pages", OPTION_OWN},
    {NULL},
};
static const struct option call_options[] = {
    {"--dry-run", NULL, "show the call and send nothing", OPTION_OWN},
    {NULL},
};
static const struct option body_options[] = {
    {"--set", "KEY=VALUE",
	"a member of the body; dots lead into objects, and KEY:=VALUE takes "
	"JSON; may be given again",
	OPTION_OWN, .is_many = true},
    {"--file", "FILE",
	"the body's members, JSON or YAML; - is standard input. Words, options "
	"and --set win over it; what only answers have is not sent, and told",
	OPTION_OWN, .brief = "-f"},
    {NULL},
};
static const struct option ask_options[] = {
    {"--yes", NULL, "do it without being asked", OPTION_OWN},
    {NULL},
};
static const struct option watch_options[] = {
    {"--watch", NULL, "print it again whenever it changes, until Ctrl-C",
	OPTION_OWN},
    {"--timeout", "1..86400", "with --watch: so many seconds", OPTION_OWN},
    {NULL},
};

/* Those that the row's flags bring, in the order of help. */
enum { LISTS = 9 };

static void
lists_of(const struct command *m, bool all, const struct option *out[LISTS])
{
	out[0] = m ? m->options : NULL;
	out[1] = m ? m->options2 : NULL;
	out[2] = m && m->flags & COMMAND_LIST ? listing_options : NULL;
	out[3] = m && m->flags & COMMAND_PAGED ? page_options : NULL;
	out[4] = m && m->watches ? watch_options : NULL;
	out[5] = m && m->flags & COMMAND_BODY ? body_options : NULL;
	out[6] = m && m->flags & COMMAND_CALL ? call_options : NULL;
	out[7] = m && m->asks ? ask_options : NULL;
	out[8] = all ? command_options : NULL;
}

const struct option *
command_next(const struct command *m, size_t *at, bool all)
{
	const struct option *lists[LISTS];
	size_t i = (*at)++;

	lists_of(m, all, lists);
	for (size_t l = 0; l < LISTS; l++) {
		for (const struct option *o = lists[l]; o && o->flag; o++) {
			if (i-- == 0)
				return o;
		}
	}
	return NULL;
}

static bool
is_text(const char *text, const char *bytes, size_t n)
{
	return text && strlen(text) == n && memcmp(text, bytes, n) == 0;
}

const struct option *
command_option(const struct command *m, const char *name, size_t n)
{
	const struct option *o;

	for (size_t at = 0; (o = command_next(m, &at, true)) != NULL;) {
		if (is_text(o->flag, name, n) || is_text(o->brief, name, n))
			return o;
	}
	return NULL;
}

const char *
command_member(struct arena *a, const struct option *o)
{
	char *out;

	if (o->member)
		return o->member;
	out = arena_strdup(a, o->flag + strspn(o->flag, "-"));
	for (char *p = out; *p; p++) {
		if (*p == '-')
			*p = '_';
	}
	return out;
}

/* --- rows --- */

const struct command *
command_find(const struct command *all, size_t n, const char *noun,
    const char *verb)
{
	for (size_t i = 0; i < n; i++) {
		const struct command *m = &all[i];

		if (strcmp(m->noun, noun) == 0 &&
		    (verb ? m->verb && strcmp(m->verb, verb) == 0 : !m->verb))
			return m;
	}
	return NULL;
}

bool
command_is_noun(const struct command *all, size_t n, const char *noun)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].noun, noun) == 0)
			return true;
	}
	return false;
}

const char *
command_noun_of(const char *placeholder, size_t n, const char *own)
{
	static const char *const kinds[][2] = {
	    {"ACCOUNT", "acme-accounts"},
	    {"AGENT", "agents"},
	    {"CERTIFICATE", "certs"},
	    {"DUTY", "scheduler"},
	    {"GROUP", "agent-groups"},
	    {"ISSUER", "issuers"},
	    {"JOB", "jobs"},
	    {"KEYNAME", "api-keys"},
	    {"OWNER", "owners"},
	    {"PROFILE", "profiles"},
	    {"RENEWAL-POLICY", "renewal-policies"},
	    {"ROLE", "roles"},
	    {"SCAN", "network-scans"},
	    {"TARGET", "targets"},
	    {"TEAM", "teams"},
	};

	if (is_text("ID", placeholder, n))
		return own;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (is_text(kinds[i][0], placeholder, n))
			return kinds[i][1];
	}
	return NULL;
}

/* --- words --- */

void
command_words(const struct command *m, size_t *out_min, size_t *out_max)
{
	*out_min = *out_max = 0;
	for (const char *p = m->words; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		*out_min += p[0] != '[';
		*out_max = memmem(p, n, "...", 3) ? SIZE_MAX : *out_max + 1;
		p += n;
	}
}

const char *
command_word(const struct command *m, size_t i, size_t *out_n)
{
	for (const char *p = m->words; *p; p += strspn(p, " ")) {
		const char *name = p + (p[0] == '[');
		size_t n = strcspn(p, " ");

		*out_n = strcspn(name, " .]");
		if (i == 0 || memmem(p, n, "...", 3))
			return name;
		p += n;
		i--;
	}
	return NULL;
}

/* --- usage --- */

enum { TAKES_MAX = 24 };

const char *
command_takes(const struct option *o)
{
	return strlen(o->takes) > TAKES_MAX ? "WORD" : o->takes;
}

const char *
command_usage(struct arena *a, const struct command *m)
{
	CLEANUP(buf_fini) struct buf b;
	const struct option *o;

	buf_init(&b, 0);
	buf_printf(&b, "%s", m->words);
	for (size_t at = 0; (o = command_next(m, &at, false)) != NULL;)
		buf_printf(&b, "%s%s%s%s%s%s", b.len > 0 ? " " : "",
		    o->is_required ? "" : "[", o->flag, o->takes ? " " : "",
		    o->takes ? command_takes(o) : "",
		    o->is_required ? "" : "]");
	return arena_strdup(a, buf_cstr(&b));
}

/* One of the words between the bars, in any letter case, as it stands there;
 * NULL: none of them. */
static const char *
choose(struct arena *a, const char *words, const char *value)
{
	for (const char *p = words;; p++) {
		size_t n = strcspn(p, "|");

		if (strlen(value) == n && strncasecmp(value, p, n) == 0)
			return arena_strndup(a, p, n);
		p += n;
		if (*p == '\0')
			return NULL;
	}
}

/* range: "1..500" */
static bool
is_within(struct arena *a, const char *range, const char *value)
{
	const char *dots = strstr(range, "..");
	int64_t min = 0, max = 0, number;
	rc ret;

	ret = enc_parse_i64(arena_strndup(a, range, (size_t)(dots - range)), 0,
	    INT64_MAX, &min);
	if (ret == RC_OK)
		ret = enc_parse_i64(dots + 2, min, INT64_MAX, &max);
	if (ret != RC_OK)
		abort(); /* the table is ours */
	ret = enc_parse_i64(value, min, max, &number);
	return ret == RC_OK;
}

const char *
command_value(struct arena *a, const char *takes, const char *value)
{
	if (strchr(takes, '|'))
		return choose(a, takes, value);
	if (strcmp(takes, COMMAND_TIME) == 0)
		return moment_given(a, value);
	if (strstr(takes, "..") && !is_within(a, takes, value))
		return NULL;
	return value;
}
