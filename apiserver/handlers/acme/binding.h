/*
 * binding: what a new account shows to be admitted: its public key, under the
 * HMAC key of an external account (RFC 8555 section 7.3.4).
 *
 * A binding that is sent is verified whether it is demanded or not.
 */
#ifndef APISERVER_HANDLERS_ACME_BINDING_H
#define APISERVER_HANDLERS_ACME_BINDING_H

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/jose/jws.h"
#include "common/op/op.h"

struct cJSON;

/* The request's externalAccountBinding; NULL: it sends none. */
const struct cJSON *binding_of(struct op *op);
/* Reads it; *out lives in the op's arena.  False: it is not what the RFC asks
 * for, whoever made it; return *out_next. */
bool binding_read(struct op *op, const struct cJSON *binding,
    const struct jws **out, enum op_next *out_next) MUST_CHECK;
/* Whether the key of its kid, which the last result has (acme_eab_key_ask),
 * admits accounts and has made it; else return *out_next. */
bool binding_is_good(struct op *op, const struct jws *binding,
    enum op_next *out_next) MUST_CHECK;
/* Why a key admits nobody, by what acme_account_create or acme_eab_key_ask call
 * it. */
enum op_next binding_refuse(struct op *op, const char *word);

/* What binds a sealed HMAC key to its row (seal.h), in the op's arena. */
const char *binding_place(struct op *op, const char *id);
/* Lets the next key be sealed under the salt of that one, hex: all keys of a
 * database under few, so that a process derives few. */
rc binding_follow(struct op *op, const char *sealed) MUST_CHECK;

#endif
