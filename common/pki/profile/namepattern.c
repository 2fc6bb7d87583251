#include "common/pki/profile/namepattern.h"

#include <ctype.h>
#include <string.h>

enum { SET_BYTES = 32, SCHEME_LEN = 9 };

struct atom {
	unsigned char set[SET_BYTES]; /* a bit a byte that fits */
	bool may_lack, may_repeat;
};

struct namepattern {
	bool has_case;
	size_t n;
	struct atom atoms[]; /* at most as many as the text has bytes */
};

/* A text being read. */
struct reading {
	struct namepattern *p;
	const char *at;
	const char *why; /* the first reason */
};

static struct reading
reading_new(struct arena *a, const char *text, bool has_case)
{
	struct namepattern *p =
	    arena_alloc(a, sizeof(*p) + strlen(text) * sizeof(p->atoms[0]));

	p->has_case = has_case;
	p->n = 0;
	return (struct reading){p, text, NULL};
}

static void
put(struct atom *atom, unsigned char c)
{
	atom->set[c / 8] |= (unsigned char)(1u << c % 8);
}

static bool
fits(const struct atom *atom, unsigned char c)
{
	return (atom->set[c / 8] & 1u << c % 8) != 0;
}

static struct atom *
next_atom(struct reading *r)
{
	struct atom *atom = &r->p->atoms[r->p->n++];

	*atom = (struct atom){.may_lack = false};
	return atom;
}

/* A letter fits in either case: names are compared in lower case. */
static void
put_range(const struct reading *r, struct atom *atom, unsigned char from,
    unsigned char to)
{
	for (unsigned c = from; c <= to; c++)
		put(atom, r->p->has_case ? (unsigned char)c
					 : (unsigned char)tolower((int)c));
}

static void
put_any(struct atom *atom)
{
	memset(atom->set, 0xff, sizeof(atom->set));
}

/* Behind the "[". */
static void
read_set(struct reading *r)
{
	struct atom *atom = next_atom(r);
	bool is_negated = *r->at == '^';

	if (is_negated)
		r->at++;
	if (*r->at == ']')
		r->why = "has a set [] of nothing";
	while (*r->at != ']' && !r->why) {
		unsigned char from = (unsigned char)*r->at++, to = from;

		if (from == '\0' || from == '\\' || from == '[') {
			r->why = "has a set that is not plain: [a-z0-9-]";
			return;
		}
		if (r->at[0] == '-' && r->at[1] != ']' && r->at[1] != '\0') {
			to = (unsigned char)r->at[1];
			r->at += 2;
		}
		if (to < from || to == '\\' || to == '[')
			r->why = "has a set with a range that goes backwards";
		else
			put_range(r, atom, from, to);
	}
	if (r->why)
		return;
	r->at++;
	for (size_t i = 0; is_negated && i < SET_BYTES; i++)
		atom->set[i] = (unsigned char)~atom->set[i];
}

/* Behind the "\". */
static void
read_escaped(struct reading *r)
{
	unsigned char c = (unsigned char)*r->at;

	if (!ispunct(c)) {
		r->why = "has a \\ in front of what is no sign; write [0-9] "
			 "for \\d";
		return;
	}
	put_range(r, next_atom(r), c, c);
	r->at++;
}

static void
read_repeat(struct reading *r)
{
	struct atom *atom = &r->p->atoms[r->p->n - 1];

	atom->may_lack = *r->at == '*' || *r->at == '?';
	atom->may_repeat = *r->at == '*' || *r->at == '+';
	if (*r->at == '*' || *r->at == '?' || *r->at == '+')
		r->at++;
}

static void
read_atom(struct reading *r)
{
	unsigned char c = (unsigned char)*r->at++;

	if (c == '\\')
		read_escaped(r);
	else if (c == '[')
		read_set(r);
	else if (c == '.')
		put_any(next_atom(r));
	else if (c == '*' || c == '+' || c == '?')
		r->why = "repeats nothing: * + and ? stand behind what they "
			 "repeat, as in .*\\.example\\.com";
	else if (strchr("(){}|]^$", c))
		r->why = "has groups, counts or alternatives: give several "
			 "patterns, and a \\ in front of such a sign";
	else
		put_range(r, next_atom(r), c, c);
	if (!r->why)
		read_repeat(r);
}

rc
namepattern_read(struct arena *a, const char *text,
    const struct namepattern **out, const char **out_why)
{
	struct reading r = reading_new(a, text, false);

	if (*r.at == '^')
		r.at++;
	if (*r.at == '\0')
		r.why = "is empty";
	if (strlen(text) > NAMEPATTERN_MAX)
		r.why = "is longer than 255 bytes";
	while (!r.why && *r.at != '\0' && strcmp(r.at, "$") != 0)
		read_atom(&r);
	if (r.why) {
		*out_why = r.why;
		return RC_INVALID;
	}
	*out = r.p;
	return RC_OK;
}

static const char *
refuse_spiffe(const char *text)
{
	const char *domain = text + SCHEME_LEN;
	size_t len;

	if (strncmp(text, "spiffe://", SCHEME_LEN) != 0 ||
	    strlen(text) > NAMEPATTERN_SPIFFE_MAX)
		return "must begin with spiffe:// and be of at most 512 bytes";
	len = strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
	if (len == 0 || domain[len] != '/' || domain[len + 1] == '\0')
		return "must name a trust domain in lower case, without *, "
		       "and a path: spiffe://example.com/workload/*";
	for (const char *p = domain; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("/.-_*", *p))
			return "must hold nothing but letters, digits and "
			       "/ . - _ *";
	}
	return NULL;
}

rc
namepattern_read_spiffe(struct arena *a, const char *text,
    const struct namepattern **out, const char **out_why)
{
	struct reading r = reading_new(a, text, true);
	struct atom *atom;

	*out_why = refuse_spiffe(text);
	if (*out_why)
		return RC_INVALID;
	for (; *r.at; r.at++) {
		atom = next_atom(&r);
		if (*r.at == '*') {
			put_any(atom);
			atom->may_repeat = true;
		} else {
			put(atom, (unsigned char)*r.at);
		}
	}
	*out = r.p;
	return RC_OK;
}

/* The places that a reader of the pattern may be at: in front of atom i. */
struct places {
	bool is[NAMEPATTERN_SPIFFE_MAX + 1];
	size_t n; /* none is beyond */
};

static void
places_add(const struct namepattern *p, struct places *at, size_t i)
{
	while (!at->is[i]) {
		at->is[i] = true;
		if (i >= at->n)
			at->n = i + 1;
		if (i == p->n || !p->atoms[i].may_lack)
			return;
		i++;
	}
}

bool
namepattern_matches(const struct namepattern *p, const char *name)
{
	struct places at = {.n = 0}, next;

	places_add(p, &at, 0);
	for (; *name && at.n > 0; name++) {
		unsigned char c = (unsigned char)*name;

		if (!p->has_case)
			c = (unsigned char)tolower(c);
		next = (struct places){.n = 0};
		for (size_t i = 0; i < at.n && i < p->n; i++) {
			if (!at.is[i] || !fits(&p->atoms[i], c))
				continue;
			places_add(p, &next, i + 1);
			if (p->atoms[i].may_repeat)
				places_add(p, &next, i);
		}
		at = next;
	}
	return *name == '\0' && at.is[p->n];
}
