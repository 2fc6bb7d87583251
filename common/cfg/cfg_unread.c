/*
 * Variables that look like ours and that this program does not read: a name
 * that is mistyped would be obeyed by nobody and noticed by nobody.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/cfg/cfg.h"

enum {
	NAME_MAX_BYTES = 100,
	/* Letters that are wrong, missing, too many, or change places. */
	TYPOS_MAX = 2,
};

static const struct {
	const char *name;
	const char *programs;
} names[] = {
#define NAME(name, programs) {name, programs},
#include "common/cfg/names.def"
#undef NAME
};

static bool
is_same(const char *known, const char *name, size_t len)
{
	return strlen(known) == len && memcmp(known, name, len) == 0;
}

/* name: of a variable, up to its "=". */
static bool
is_read(const struct cfg_key *keys, size_t n, const char *name, size_t len)
{
	bool is_file = len > 5 && memcmp(name + len - 5, "_FILE", 5) == 0;

	for (size_t i = 0; i < n; i++) {
		if (is_same(keys[i].env, name, len))
			return true;
		if (is_file && (keys[i].flags & CFG_SECRET) != 0 &&
		    is_same(keys[i].env, name, len - 5))
			return true;
	}
	return is_same(FAULT_VARIABLE, name, len);
}

/* The programs that read it; NULL: none does. */
static const char *
readers_of(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (is_same(names[i].name, name, len))
			return names[i].programs;
	}
	return NULL;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters make the one name into the other. */
static size_t
distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t rows[3][NAME_MAX_BYTES + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2], *spare;

	for (size_t j = 0; j <= blen; j++)
		last[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		now[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			now[j] = least(last[j], now[j - 1]) + 1;
			now[j] = least(now[j],
			    last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[blen];
}

/* The name that was probably meant, or NULL. */
static const char *
nearest(const char *name, size_t len)
{
	size_t best = TYPOS_MAX + 1, n;
	const char *found = NULL;

	if (len > NAME_MAX_BYTES)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		n = strlen(names[i].name);
		if (n > NAME_MAX_BYTES)
			continue;
		n = distance(name, len, names[i].name, n);
		if (n < best) {
			best = n;
			found = names[i].name;
		}
	}
	return found;
}

static void
put_line(struct buf *b, const char *program, const char *name, size_t len,
    const char *readers)
{
	const char *meant = readers ? NULL : nearest(name, len);

	buf_reset(b);
	buf_add(b, name, len);
	buf_printf(b, " means nothing to %s", program);
	if (readers)
		buf_printf(b, "; it is for %s", readers);
	else
		buf_puts(b, ", nor to any other program");
	if (meant)
		buf_printf(b, "; did you mean %s?", meant);
}

size_t
cfg_unread(const char *program, const struct cfg_key *keys, size_t n,
    cfg_unread_fn *say)
{
	size_t nunknown = 0;
	struct buf b;

	buf_init(&b, 0);
	for (char **e = environ; e && *e; e++) {
		size_t len = strcspn(*e, "=");
		const char *readers;

		if (strncmp(*e, "CERTCTL_", 8) != 0 ||
		    is_read(keys, n, *e, len))
			continue;
		readers = readers_of(*e, len);
		nunknown += readers ? 0 : 1;
		if (!say)
			continue;
		put_line(&b, program, *e, len, readers);
		say(buf_cstr(&b), !readers);
	}
	buf_fini(&b);
	return nunknown;
}
