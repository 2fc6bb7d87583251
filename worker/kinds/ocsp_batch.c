/*
 * What an OCSP request is answered: by which key of a CA, and signed.
 */
#include "worker/kinds/ocsp_batch.h"

#include <string.h>

#include "common/base/enc.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/crl.h"
#include "common/pki/ocsp/ocsp_response.h"
#include "common/policy/policy.h"

#define LOCAL_TYPE "GenericCA"

struct span
ocsp_batch_unhex(struct arena *a, const char *hex)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = arena_alloc(a, len + 1);

	if (enc_unhex(hex, bytes, len) != RC_OK)
		len = 0;
	return (struct span){bytes, len};
}

/* --- who answers --- */

static rc
read_key(const struct db_result *r, size_t row, struct ocsp_key *out)
{
	const char *pem = db_text(r, row, db_col(r, "cert_pem"));
	bool is_former =
	    strcmp(db_text(r, row, db_col(r, "state")), "former") == 0;
	X509 *x;
	rc ret;

	*out = (struct ocsp_key){
	    .ca =
		{
		    .issuer_id = db_text(r, row, db_col(r, "issuer_id")),
		    .list = db_text(r, row, db_col(r, "list")),
		    .former_key =
			is_former ? db_text(r, row, db_col(r, "key_id")) : NULL,
		    .responder = db_text(r, row, db_col(r, "responder")),
		    .now_unix = db_i64(r, row, db_col(r, "now_unix")),
		},
	};
	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return ret;
	ret = ocsp_ca_read(x, &out->id);
	X509_free(x);
	return ret;
}

/* By what the client calls it. */
static struct ocsp_key *
find_named(struct ocsp_batch *w, const struct ocsp_item *it,
    const struct ocsp_id *id)
{
	for (size_t i = 0; i < w->nkeys; i++) {
		if (strcmp(w->keys[i].ca.issuer_id, it->issuer_id) == 0 &&
		    ocsp_ca_is(&w->keys[i].id, id))
			return &w->keys[i];
	}
	return NULL;
}

/* By what signed the certificate; else the one that signs now. */
static struct ocsp_key *
find_signing(struct ocsp_batch *w, const struct ocsp_item *it)
{
	struct ocsp_key *found = NULL;

	for (size_t i = 0; i < w->nkeys; i++) {
		struct ocsp_key *k = &w->keys[i];

		if (strcmp(k->ca.issuer_id, it->issuer_id) != 0)
			continue;
		if (it->list && strcmp(k->ca.list, it->list) == 0)
			return k;
		if (!k->ca.former_key)
			found = k;
	}
	return found;
}

static void
find_key(struct op *op, struct ocsp_batch *w, struct ocsp_item *it)
{
	struct arena *a = op_arena(op);
	struct ocsp_id id;

	if (!it->issuer_type) {
		it->refusal = "no_issuer";
		return;
	}
	if (strcmp(it->issuer_type, LOCAL_TYPE) != 0) {
		it->refusal = "outside";
		return;
	}
	if (it->cert_id[0]) {
		it->cert_id_der = ocsp_batch_unhex(a, it->cert_id);
		if (ocsp_id_parse(it->cert_id_der, &id) == RC_OK)
			it->key = find_named(w, it, &id);
		if (!it->key)
			it->refusal = "unauthorized";
		else if (it->list && strcmp(it->list, it->key->ca.list) != 0)
			it->status = "unknown"; /* another key signed it */
	} else {
		it->key = find_signing(w, it);
		if (!it->key || ocsp_ca_cert_id(a, &it->key->id, it->serial,
				    &it->cert_id_der) != RC_OK)
			it->refusal = "failed";
	}
}

/* An answer is signed by one key: what it cannot speak for, it refuses. */
static void
judge_request(struct ocsp_batch *w, struct ocsp_asked *q)
{
	const struct ocsp_item *first = &w->items[q->first];

	for (size_t i = q->first; i < q->first + q->n; i++) {
		if (w->items[i].refusal)
			q->outcome = w->items[i].refusal;
		else if (w->items[i].key != first->key)
			q->outcome = "unauthorized";
		if (q->outcome)
			return;
	}
	first->key->is_wanted = true;
}

void
ocsp_batch_find_keys(struct op *op, struct ocsp_batch *w)
{
	const struct db_result *r = op_result(op, 0);
	size_t n = db_nrows(r);

	w->keys = arena_alloc(op_arena(op), (n + 1) * sizeof(*w->keys));
	w->nkeys = 0;
	for (size_t i = 0; i < n; i++) {
		if (read_key(r, i, &w->keys[w->nkeys]) == RC_OK)
			w->nkeys++;
	}
	w->this_unix = w->nkeys > 0 ? w->keys[0].ca.now_unix : 0;
	w->next_unix = w->this_unix + POLICY_OCSP_LIFE;
	for (size_t i = 0; i < w->nitems; i++)
		find_key(op, w, &w->items[i]);
	for (size_t i = 0; i < w->nrequests; i++)
		judge_request(w, &w->requests[i]);
}

/* --- signing --- */

static struct ocsp_single
single_of(const struct ocsp_item *it)
{
	struct ocsp_single s = {
	    .cert_id = it->cert_id_der,
	    .status = OCSP_UNKNOWN,
	};

	if (strcmp(it->status, "good") == 0)
		s.status = OCSP_GOOD;
	if (strcmp(it->status, "revoked") == 0) {
		s.status = OCSP_REVOKED;
		s.revoked_at_unix = it->revoked_at_unix;
		s.reason = crl_reason(it->reason);
	}
	return s;
}

void
ocsp_batch_sign(struct op *op, struct ocsp_batch *w, struct ocsp_asked *q)
{
	const struct ocsp_item *first = &w->items[q->first];
	struct arena *a = op_arena(op);
	struct ocsp_single *singles = arena_alloc(a, q->n * sizeof(*singles));
	struct ocsp_spec spec = {
	    .singles = singles,
	    .n = q->n,
	    .this_update_unix = w->this_unix,
	    .next_update_unix = w->next_unix,
	    .nonce = q->nonce,
	};
	bool is_known = true;
	rc ret;

	if (q->outcome)
		return;
	q->outcome = "failed";
	if (!first->key->responder)
		return;
	for (size_t i = 0; i < q->n; i++) {
		singles[i] = single_of(&first[i]);
		is_known = is_known && singles[i].status != OCSP_UNKNOWN;
	}
	/* It may be issued at any time. */
	if (!is_known &&
	    spec.next_update_unix > w->this_unix + POLICY_OCSP_UNKNOWN)
		spec.next_update_unix = w->this_unix + POLICY_OCSP_UNKNOWN;
	ret = ocsp_sign(first->key->responder->signer, a, &spec, &q->der);
	if (ret != RC_OK)
		return;
	q->outcome = first->status;
	q->is_kept = q->n == 1 && q->nonce.len == 0 && is_known;
	w->signed_in_all++;
}
