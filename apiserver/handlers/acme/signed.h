/*
 * signed: requests of ACME clients, which are signed messages (RFC 8555
 * section 6), and the answers to them.
 *
 * acme_signed checks all that section 6 asks for, in this order: content type,
 * form and algorithm, url, kid or jwk as the endpoint takes, nonce, account,
 * signature, that the account is valid and that the profile serves ACME.  The
 * database is asked once, by one statement for many requests at a time.
 */
#ifndef APISERVER_HANDLERS_ACME_SIGNED_H
#define APISERVER_HANDLERS_ACME_SIGNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/edge/render_acme.h"
#include "apiserver/handlers/acme/answer.h"
#include "common/base/attr.h"
#include "common/jose/jwk.h"
#include "common/jose/jws.h"
#include "common/op/op.h"

struct cJSON;

enum {
	ACME_KID = 1, /* signed by an account's key, which kid names */
	ACME_JWK = 2  /* by the key that it brings along */
};

/* Of a profile; a rate or count of 0: none. */
struct acme_settings {
	const char *issuer_id, *owner_id, *policy_id;
	bool is_challenged; /* acme_auth_mode "challenge" */
	bool needs_eab;
	int64_t orders_per_hour, concurrent_orders, key_changes_per_hour,
	    challenge_responses_per_hour;
};

/* All of it lives in the op's arena. */
struct acme_request {
	const char *profile_id;
	const char *profile; /* its row as JSON, for certprofile_read */
	/* "https://host/acme/profile/x" or "https://host/acme": as the client
	 * asked, for the addresses that it is given. */
	const char *base;
	const struct jws *jws;
	const struct cJSON *payload; /* an object; NULL: POST-as-GET */
	/* kid: the account that signed.  jwk: the account of the profile that
	 * has this key, NULL when there is none. */
	const char *account_id, *account_status;
	const char *account_contact;  /* a JSON array, as account_id */
	const char *account_owner_id; /* NULL: the profile's */
	const char *account_pem;      /* its key */
	const struct jwk *key;        /* that made the signature */
	struct acme_settings settings;
};

/* Runs next once the request is what it should be; else answers.  takes:
 * ACME_KID, ACME_JWK, or both. */
enum op_next acme_signed(struct op *op, unsigned takes, op_step *next);
/* Of an op that acme_signed has let pass. */
const struct acme_request *acme_request(struct op *op);
/* As op_state, which is acme_signed's, for the handler behind it. */
void *acme_state(struct op *op, size_t size);

#endif
