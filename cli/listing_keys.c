#include "cli/listing_keys.h"

#include <ctype.h>
#include <string.h>

#include "common/base/attr.h"

const struct option listing_options[] = {
    {"--filter", "KEY=VALUE",
	"those of which that is so; may be given again, and then all must be",
	OPTION_OWN, .is_many = true},
    {"--sort", "FIELD", "in that order, FIELD:desc backwards", OPTION_OWN},
    {NULL},
};

bool
listing_is_filter(const struct option *o)
{
	return o == &listing_options[0];
}

bool
listing_is_sort(const struct option *o)
{
	return o == &listing_options[1];
}

/* --- what there is --- */

/* Whether both are the same name: created_at, created-at and createdAt are. */
static bool
is_name(const char *name, const char *key, size_t n)
{
	const char *end = key + n;

	for (;; name++, key++) {
		while (*name == '_' || *name == '-')
			name++;
		while (key < end && (*key == '_' || *key == '-'))
			key++;
		if (*name == '\0' || key == end)
			return *name == '\0' && key == end;
		if (tolower((unsigned char)*name) !=
		    tolower((unsigned char)*key))
			return false;
	}
}

static bool
is_filter_option(const struct option *o)
{
	return o->form != OPTION_OWN && o->takes;
}

const struct option *
listing_option(const struct command *m, const char *key, size_t n)
{
	const struct option *const lists[] = {m->options, m->options2};

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		for (const struct option *o = lists[l]; o && o->flag; o++) {
			if (is_filter_option(o) &&
			    (is_name(o->flag, key, n) ||
				(o->member && is_name(o->member, key, n))))
				return o;
		}
	}
	return NULL;
}

const struct column *
listing_column(const struct command *m, const char *key, size_t n)
{
	for (const struct column *k = m->columns; k && k->head; k++) {
		if (is_name(k->member, key, n))
			return k;
	}
	return NULL;
}

const char *
listing_sort_word(struct arena *a, const struct command *m, const char *key,
    size_t n)
{
	for (const char *p = m->sorts ? m->sorts : ""; *p; p += *p == '|') {
		const char *word = arena_strndup(a, p, strcspn(p, "|"));

		if (is_name(word, key, n))
			return word;
		p += strlen(word);
	}
	return NULL;
}

/* Whether the server is asked for it. */
static bool
is_asked(struct arena *a, const struct command *m, bool is_sort,
    const char *member)
{
	return is_sort ? listing_sort_word(a, m, member, strlen(member)) != NULL
		       : listing_option(m, member, strlen(member)) != NULL;
}

/* The ith column that the server is not asked for, each member once. */
static const char *
column_key(struct arena *a, const struct command *m, bool is_sort, size_t i)
{
	for (const struct column *k = m->columns; k && k->head; k++) {
		if (!is_asked(a, m, is_sort, k->member) &&
		    listing_column(m, k->member, strlen(k->member)) == k &&
		    i-- == 0)
			return k->member;
	}
	return NULL;
}

/* The ith option that filters, by the name of its flag. */
static const char *
option_key(struct arena *a, const struct command *m, size_t i, size_t *out_n)
{
	const struct option *const lists[] = {m->options, m->options2};

	*out_n = 0;
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		for (const struct option *o = lists[l]; o && o->flag; o++) {
			char *name;

			if (!is_filter_option(o) || (*out_n)++ != i)
				continue;
			name = arena_strdup(a, o->flag + 2);
			for (char *p = name; *p; p++)
				*p = *p == '-' ? '_' : *p;
			return name;
		}
	}
	return NULL;
}

static const char *
sort_key(struct arena *a, const struct command *m, size_t i, size_t *out_n)
{
	*out_n = 0;
	for (const char *p = m->sorts ? m->sorts : ""; *p; p += *p == '|') {
		size_t n = strcspn(p, "|");

		if ((*out_n)++ == i)
			return arena_strndup(a, p, n);
		p += n;
	}
	return NULL;
}

const char *
listing_key(struct arena *a, const struct command *m, bool is_sort, size_t i,
    bool *out_is_here)
{
	size_t n;
	const char *key =
	    is_sort ? sort_key(a, m, i, &n) : option_key(a, m, i, &n);

	*out_is_here = key == NULL;
	return key ? key : column_key(a, m, is_sort, i - n);
}
