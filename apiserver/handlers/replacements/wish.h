/*
 * wish: what somebody wants replaced by what, and the looking through the
 * certificates of the issuer to be left.  These may be a million: a piece of
 * them is one short statement, and nothing of it stays but numbers.
 */
#ifndef APISERVER_HANDLERS_REPLACEMENTS_WISH_H
#define APISERVER_HANDLERS_REPLACEMENTS_WISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

#define WISH_ID_MAX 128
/* Reasons that there are, and as many again. */
#define WISH_GROUPS_MAX 48
#define WISH_NAMED_MAX 5

/* All of one reason; "": they go at once. */
struct wish_group {
	bool can_go;
	char reason[32];
	int64_t n;
	size_t nids; /* the first of them */
	char ids[WISH_NAMED_MAX][WISH_ID_MAX + 1];
};

/* The op's state, of all that begin with a wish. */
struct wish {
	const char *from, *to;
	const char *wave;   /* NULL: by the lane */
	const char *reason; /* of what is revoked; NULL: nothing is */
	const char *moves_profiles;
	const char *after;          /* of a list; "": from the first on */
	const char *excluded;       /* the reason of a list; NULL: all */
	int64_t within_s;           /* 0: nobody said */
	const char *limits;         /* of the new issuer, JSON */
	char last[WISH_ID_MAX + 1]; /* looked at up to here */
	size_t ngroups;
	struct wish_group groups[WISH_GROUPS_MAX];
};

/* By the table of the route; fills the op's state.  RC_INVALID. */
rc wish_read(struct op *op, const struct field *fields, size_t nfields,
    const char **out_why);
/* Finds out the new issuer's limits; then next runs, also where there is no
 * such issuer (limits "{}"). */
enum op_next wish_limits(struct op *op, op_step *next);
/* Fills the groups; then next runs. */
enum op_next wish_survey(struct op *op, op_step *next);
/* How many can go, or cannot. */
int64_t wish_count(const struct wish *w, bool can_go);

/* What revocations may be told for a reason. */
extern const char *const wish_reasons[];

#endif
