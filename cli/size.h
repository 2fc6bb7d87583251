/*
 * size: what a deployment of a given size has to do, and the settings that let
 * it, by arithmetic over measured facts (size_model.h).
 *
 * Nothing is asked of a server.  A line whose facts are not measured has no
 * value and says which; a fact that was measured with fewer certificates or
 * agents than asked for is told of, with how many times fewer.
 */
#ifndef CLI_SIZE_H
#define CLI_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/size_model.h"
#include "common/base/arena.h"
#include "common/base/attr.h"

#define SIZE_LINES_MAX 40
/* A fact may be told of by both of its numbers. */
#define SIZE_NOTES_MAX (2 * FACTS + 16)

struct size_input {
	int64_t certificates, agents;
	double lifetime_s;
	double ca_rate; /* certificates/s that the CA gives; 0: the local CA */
};

enum size_part { SIZE_LOAD, SIZE_DISK, SIZE_MEMORY, SIZE_SETTINGS };

struct size_line {
	enum size_part part;
	const char *name;
	double value;           /* NAN: it rests on what is not measured */
	const char *unit;       /* "bytes" is shown as KiB, MiB, ... */
	const char *arithmetic; /* or the fact that is missing, and why */
};

struct size {
	struct arena *arena;
	const struct size_fact *facts;
	struct size_line lines[SIZE_LINES_MAX];
	size_t nlines;
	const char *warnings[SIZE_NOTES_MAX];
	size_t nwarnings;
	bool used[FACTS];
	const struct size_fact *missing; /* of the line under way */
};

/* Fills *out, whose texts live in the arena.  false when no settings can do
 * it; *out_why says what, why, and what would. */
bool size_reckon(struct arena *a, const struct size_fact facts[FACTS],
    const struct size_input *in, struct size *out,
    const char **out_why) MUST_CHECK;
/* A figure for people: "1.5 GiB", "1596", "0.0185". */
const char *size_shown(struct arena *a, double value, const char *unit);

#endif
