#include "deploy/test/loadtest/fleet/cycle.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/base/mem.h"

#define CYCLES_MAX 1000000
#define ID_MAX_LEN 128

struct cycle {
	char id[ID_MAX_LEN + 1];
	char job[ID_MAX_LEN + 1]; /* its first */
	int64_t at_us[CYCLE_POINTS];
	bool is_again;
	UT_hash_handle hh;
};

struct cycles {
	struct cycle *by_id;
	struct cycle **all; /* in the order they were read */
	size_t n, cap;
	size_t reached[CYCLE_POINTS];
	size_t again, unread;
};

static const char *const point_names[CYCLE_POINTS] = {
    [CYCLE_DUE] = "due_ms",
    [CYCLE_OFFERED] = "offered_ms",
    [CYCLE_CSR] = "csr_ms",
    [CYCLE_ISSUED] = "issued_ms",
    [CYCLE_SERVED] = "served_ms",
    [CYCLE_REPORTED] = "reported_ms",
};

struct cycles *
cycles_new(void)
{
	return mem_zalloc(sizeof(struct cycles));
}

void
cycles_free(struct cycles *c)
{
	if (!c)
		return;
	HASH_CLEAR(hh, c->by_id);
	for (size_t i = 0; i < c->n; i++)
		free(c->all[i]);
	free(c->all);
	free(c);
}

static bool
is_id(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > ID_MAX_LEN)
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
			return false;
	}
	return true;
}

static const char *
add(struct cycles *c, const char *id)
{
	struct cycle *one;

	if (!is_id(id))
		return "a line is no id (A-Z a-z 0-9 . _ -, 128 at most)";
	HASH_FIND_STR(c->by_id, id, one);
	if (one)
		return "an id stands there twice";
	if (c->n == CYCLES_MAX)
		return "it has more than 1000000 lines";
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 1024;
		c->all = mem_realloc(c->all, c->cap, sizeof(struct cycle *));
	}
	one = mem_zalloc(sizeof(*one));
	memcpy(one->id, id, strlen(id));
	HASH_ADD_STR(c->by_id, id, one);
	c->all[c->n++] = one;
	return NULL;
}

rc
cycles_read(struct cycles *c, const char *path, const char **out_why)
{
	char line[ID_MAX_LEN + 3];
	const char *why = NULL;
	FILE *f = fopen(path, "re");
	bool is_bad;

	*out_why = "it cannot be read";
	if (!f)
		return RC_IO;
	while (!why && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		why = add(c, line);
	}
	is_bad = ferror(f) != 0;
	(void)fclose(f); /* it was only read */
	if (is_bad)
		return RC_IO;
	if (!why && c->n == 0)
		why = "it is empty";
	if (why)
		*out_why = why;
	return why ? RC_INVALID : RC_OK;
}

size_t
cycles_count(const struct cycles *c)
{
	return c->n;
}

const char *
cycles_id(const struct cycles *c, size_t i)
{
	return c->all[i]->id;
}

static void
reach(struct cycles *c, struct cycle *one, enum cycle_point point,
    int64_t at_us)
{
	if (one->at_us[point] > 0)
		return;
	one->at_us[point] = at_us;
	c->reached[point]++;
}

void
cycles_all_due(struct cycles *c, int64_t at_us)
{
	for (size_t i = 0; i < c->n; i++)
		reach(c, c->all[i], CYCLE_DUE, at_us);
}

void
cycles_reach(struct cycles *c, const char *id, const char *job,
    enum cycle_point point, int64_t at_us)
{
	struct cycle *one;

	HASH_FIND_STR(c->by_id, id, one);
	if (!one) {
		c->unread++;
		return;
	}
	if (point == CYCLE_OFFERED && job) {
		if (one->job[0] == '\0')
			(void)snprintf(one->job, sizeof(one->job), "%s", job);
		else if (strcmp(one->job, job) != 0 && !one->is_again) {
			one->is_again = true;
			c->again++;
		}
	}
	reach(c, one, point, at_us);
}

size_t
cycles_reached(const struct cycles *c, enum cycle_point point)
{
	return c->reached[point];
}

void
cycles_measure(const struct cycles *c, enum cycle_point from,
    enum cycle_point to, struct samples *out)
{
	for (size_t i = 0; i < c->n; i++) {
		const int64_t *at = c->all[i]->at_us;

		if (at[from] > 0 && at[to] > 0)
			samples_add(out, at[to] - at[from]);
	}
}

size_t
cycles_again(const struct cycles *c)
{
	return c->again;
}

size_t
cycles_unread(const struct cycles *c)
{
	return c->unread;
}

void
cycles_dump(const struct cycles *c, int64_t since_us, FILE *to)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct cycle *one = c->all[i];

		(void)fprintf(to, "{\"id\":\"%s\"", one->id);
		for (size_t p = 0; p < CYCLE_POINTS; p++) {
			if (one->at_us[p] > 0)
				(void)fprintf(to, ",\"%s\":%lld",
				    point_names[p],
				    (long long)((one->at_us[p] + since_us) /
						1000));
		}
		(void)fputs("}\n", to);
	}
}
