/*
 * newkey: an API key made for the database: its name, its text, its answer.
 */
#ifndef APISERVER_HANDLERS_AUTH_NEWKEY_H
#define APISERVER_HANDLERS_AUTH_NEWKEY_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

#define NEWKEY_NAME_WHY \
	"name must be 3 to 64 of a-z 0-9 _ -, neither _ nor - first"
#define NEWKEY_TAKEN "This name is taken, or still holds roles: choose another"

struct newkey {
	char *text; /* 64 hex digits; wiped with the op */
	char hash[65];
};

/* Of 32 random bytes. */
void newkey_make(struct op *op, struct newkey *out);
bool newkey_name_is_valid(const char *name);
/* The environment's keys have it, or might, or it is nobody's. */
bool newkey_name_is_reserved(const struct op *op, const char *name);
/* {"actor_id","api_key_id","key_value",...} of the op's row, and message. */
enum op_next newkey_reply(struct op *op, int status, const struct newkey *k,
    const char *message);

/* What it holds: of the row, and beside it. */
extern const struct field newkey_fields[];
extern const size_t newkey_nfields;
extern const struct field newkey_shown[];
extern const size_t newkey_nshown;

#endif
