#include "worker/issuers/responders.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/log/log.h"
#include "common/op/op.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"
#include "common/pki/ocsp/ocsp_responder.h"

#define LOAD_DEADLINE_MS 10000
/* One that cannot be had is tried again after this, */
#define RETRY_MS 1000
/* and where the one before still serves, after this. */
#define RENEW_RETRY_MS 10000
#define CA_POLL_MS 10
/* For clocks that are behind. */
#define BACKDATE_SECONDS 300
#define SUBJECT_MAX 64 /* RFC 5280 appendix A.1, ub-common-name */
#define SEALED_MAX 65536
#define SERIAL_BYTES 20
/* Another worker made one meanwhile, and another: not for ever. */
#define ROUNDS_MAX 3

struct open_responder {
	struct responder r; /* what callers see */
	unsigned refs;
	char fingerprint[65];
	int64_t due_unix;
};

/* Of one key of a CA. */
struct entry {
	UT_hash_handle hh;
	struct responders *owner;
	char *list, *issuer_id, *former_key; /* former_key: NULL */
	struct open_responder *open;         /* NULL: none */
	struct op *op;                       /* a load under way */
	rc code;                             /* of the last */
	char *why;
	int64_t tried_ms;
	bool has_tried;
};

struct responders {
	struct responders_opts o;
	struct entry *entries;
};

static void
open_unref(struct open_responder *o)
{
	if (!o || --o->refs > 0)
		return;
	ocsp_signer_free(o->r.signer);
	free(o);
}

void
responder_unref(struct responder *r)
{
	/* r is its first member. */
	open_unref((struct open_responder *)r);
}

/* --- loading: an op of its own, so that many batches can wait for it --- */

struct load {
	struct entry *e;
	const char *former; /* the fingerprint of what is there */
	const char *ca_fingerprint;
	struct cert_info ca;
	int64_t now_unix;            /* the database's */
	bool was_faulty;             /* the database says so */
	struct open_responder *open; /* ours until taken */
	EVP_PKEY *key;               /* of one that is made */
	X509 *cert;
	int rounds;
};

static op_step load_row;
static op_step load_make;
static op_step load_stored;

static void
load_free(void *arg)
{
	struct load *ld = arg;

	open_unref(ld->open);
	EVP_PKEY_free(ld->key);
	X509_free(ld->cert);
}

static enum op_next
load_begin(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));

	if (ld->rounds == 0)
		arena_defer(op_arena(op), load_free, ld);
	if (ld->rounds++ == ROUNDS_MAX)
		return op_fail(op, RC_CONFLICT,
		    "other workers made one again and again");
	return OP_QUERY(op, Q_OCSP_RESPONDER, load_row, ld->e->list);
}

static void
on_noted(void *arg, struct db_outcome *o)
{
}

/* What keeps one away, for certctl status; "": nothing.  A hint to people: the
 * next try notes it again where this fails. */
static void
note_fault(const struct entry *e, const char *why)
{
	const char *const params[] = {e->list, why};

	(void)db_submit(e->owner->o.pool,
	    &(struct db_stmt){Q_OCSP_RESPONDER_FAULT, ARRAY_LEN(params),
		params},
	    1, on_noted, NULL);
}

/* From now on it serves. */
static void
hand_over(struct load *ld)
{
	struct entry *e = ld->e;

	open_unref(e->open);
	e->open = ld->open;
	ld->open = NULL;
}

static enum op_next
load_done(struct op *op)
{
	const struct load *ld = op_state(op, sizeof(*ld));

	if (ld->was_faulty)
		note_fault(ld->e, "");
	return op_done(op);
}

static rc
read_ca(struct op *op, struct load *ld)
{
	const char *pem = op_text(op, 0, "ca_cert_pem");
	X509 *x;
	rc ret;

	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return ret;
	ret = cert_read(op_arena(op), x, &ld->ca);
	X509_free(x);
	ld->ca_fingerprint = op_text(op, 0, "ca_fingerprint");
	ld->now_unix = op_i64(op, 0, "now_unix");
	ld->was_faulty = op_bool(op, 0, "is_faulty");
	return ret;
}

static const char *
key_place(struct arena *a, const char *list)
{
	return arena_printf(a, "ocsp_responder_keys:%s", list);
}

static rc
unseal_key(struct op *op, const struct load *ld, EVP_PKEY **out)
{
	const char *text = op_text(op, 0, "key_sealed");
	size_t len = strlen(text);
	struct secret *pem;
	uint8_t *blob;
	rc ret;

	if (len < 4 || len % 2 != 0 || len > SEALED_MAX)
		return RC_INVALID;
	len = len / 2 - 1; /* without the leading "\x" */
	blob = arena_alloc(op_arena(op), len);
	ret = enc_unhex(text + 2, blob, len);
	if (ret == RC_OK)
		ret = unseal(ld->e->owner->o.sealer,
		    key_place(op_arena(op), ld->e->list), blob, len, &pem);
	if (ret != RC_OK)
		return ret;
	ret = key_from_pem(secret_bytes(pem), secret_len(pem), out);
	secret_free(pem);
	return ret;
}

static rc
open_certificate(struct op *op, struct load *ld, X509 *cert, EVP_PKEY *key)
{
	const struct responders_opts *o = &ld->e->owner->o;
	struct open_responder *r;
	struct cert_info info;
	rc ret;

	ret = cert_read(op_arena(op), cert, &info);
	if (ret != RC_OK)
		return ret;
	r = mem_zalloc(sizeof(*r));
	r->refs = 1;
	r->r.not_after_unix = info.not_after_unix;
	memcpy(r->fingerprint, info.fingerprint_sha256, sizeof(r->fingerprint));
	r->due_unix = info.not_after_unix - o->grace_s;
	/* One that ends with its CA is as good as any that were made now. */
	if (info.not_after_unix >= ld->ca.not_after_unix)
		r->due_unix = INT64_MAX;
	ret = ocsp_signer_new(cert, key, &r->r.signer);
	if (ret != RC_OK) {
		open_unref(r);
		return ret;
	}
	open_unref(ld->open);
	ld->open = r;
	return RC_OK;
}

/* What the database has. */
static rc
open_row(struct op *op, struct load *ld)
{
	const char *pem = op_text(op, 0, "cert_pem");
	EVP_PKEY *key;
	X509 *cert;
	rc ret;

	ret = unseal_key(op, ld, &key);
	if (ret != RC_OK)
		return ret;
	ret = cert_from_pem(pem, strlen(pem), &cert);
	if (ret == RC_OK) {
		ret = open_certificate(op, ld, cert, key);
		X509_free(cert);
	}
	EVP_PKEY_free(key);
	return ret;
}

static enum op_next
load_row(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));
	rc ret = RC_NOT_FOUND;
	bool is_good;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "that key is gone");
	if (read_ca(op, ld) != RC_OK)
		return op_fail(op, RC_INVALID,
		    "the CA's certificate cannot be read");
	ld->former = op_text(op, 0, "fingerprint");
	if (!op_is_null(op, 0, "key_sealed"))
		ret = open_row(op, ld);
	/* Whoever has another passphrase is not to take it from the others. */
	if (ret == RC_CRYPTO)
		return op_fail(op, RC_IO,
		    "the key of its OCSP responder does not open: "
		    "CERTCTL_CA_ENCRYPTION_KEY is not the one it was sealed "
		    "under, or the row was changed");
	if (ret != RC_OK)
		return op_goto(op, load_make);
	is_good = ld->now_unix < ld->open->due_unix &&
		  strcmp(op_text(op, 0, "signed_by"), ld->ca_fingerprint) == 0;
	hand_over(ld);
	return is_good ? load_done(op) : op_goto(op, load_make);
}

/* --- making one --- */

static const char *
responder_name(struct arena *a, const char *ca_name)
{
	static const char prefix[] = "OCSP Responder for ";
	size_t len = strlen(ca_name), room = SUBJECT_MAX - strlen(prefix);

	if (len > room) {
		len = room;
		/* Not inside of a character. */
		while (len > 0 && ((uint8_t)ca_name[len] & 0xc0) == 0x80)
			len--;
	}
	return arena_printf(a, "%s%.*s", prefix, (int)len, ca_name);
}

static rc
seal_key(struct arena *a, const struct load *ld, const char **out)
{
	struct secret *pem;
	uint8_t *blob;
	size_t len;
	char *hex;
	rc ret;

	ret = key_to_pem(ld->key, &pem);
	if (ret != RC_OK)
		return ret;
	ret = seal(ld->e->owner->o.sealer, a, key_place(a, ld->e->list),
	    secret_bytes(pem), secret_len(pem), &blob, &len);
	secret_free(pem);
	if (ret != RC_OK)
		return ret;
	hex = arena_alloc(a, 2 * len + 3);
	memcpy(hex, "\\x", 2);
	enc_hex(blob, len, hex + 2);
	*out = hex;
	return RC_OK;
}

struct made {
	const char *pem, *key_sealed;
	char serial_hex[41];
	struct cert_info info;
};

static rc
make(struct op *op, struct load *ld, struct local_ca *ca, struct made *out)
{
	struct arena *a = op_arena(op);
	int64_t now = ld->now_unix, end = now + ld->e->owner->o.validity_s;
	struct ocsp_responder_spec spec = {
	    .common_name = responder_name(a, ld->ca.common_name),
	    .serial_hex = out->serial_hex,
	    .not_before_unix = now - BACKDATE_SECONDS,
	    .not_after_unix = end,
	};
	uint8_t serial[SERIAL_BYTES];
	struct span der;
	const uint8_t *p;
	char *pem;
	rc ret;

	rand_bytes(serial, sizeof(serial));
	/* Positive and of full length; no leaf's begins with it. */
	serial[0] = (uint8_t)((serial[0] & 0x0f) | 0x40);
	enc_hex(serial, sizeof(serial), out->serial_hex);
	if (spec.not_before_unix < ca->not_before_unix)
		spec.not_before_unix = ca->not_before_unix;
	if (spec.not_after_unix > ld->ca.not_after_unix)
		spec.not_after_unix = ld->ca.not_after_unix;
	EVP_PKEY_free(ld->key);
	ld->key = NULL;
	ret = key_new_p256(&ld->key);
	if (ret != RC_OK)
		return ret;
	spec.key = ld->key;
	ret = ocsp_responder_make(ca->builder, a, &spec, &der);
	if (ret == RC_OK)
		ret = cert_to_pem(a, der.p, der.len, &pem);
	if (ret == RC_OK)
		ret = seal_key(a, ld, &out->key_sealed);
	if (ret != RC_OK)
		return ret;
	X509_free(ld->cert);
	p = der.p;
	ld->cert = d2i_X509(NULL, &p, (long)der.len);
	if (!ld->cert)
		return RC_INTERNAL;
	out->pem = pem;
	return cert_read(a, ld->cert, &out->info);
}

static enum op_next
store(struct op *op, struct load *ld, const struct made *m)
{
	return OP_QUERY(op, Q_OCSP_RESPONDER_STORE, load_stored, ld->e->list,
	    ld->former, m->pem, m->serial_hex, m->info.fingerprint_sha256,
	    ld->ca_fingerprint,
	    op_printf(op, "%" PRId64, m->info.not_before_unix),
	    op_printf(op, "%" PRId64, m->info.not_after_unix), m->key_sealed);
}

static enum op_next
load_make(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));
	struct entry *e = ld->e;
	struct local_ca *ca;
	const char *why = "";
	struct made m = {0};
	rc ret;

	if (e->former_key)
		ret = local_ca_get_former(e->owner->o.cas, e->issuer_id,
		    e->former_key, &ca, &why);
	else
		ret = local_ca_get(e->owner->o.cas, e->issuer_id, NULL, &ca,
		    &why);
	if (ret == RC_BUSY || ret == RC_UNAVAILABLE || ret == RC_TIMEOUT)
		return op_sleep(op, CA_POLL_MS, load_make);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	if (strcmp(ca->fingerprint, ld->ca_fingerprint) != 0) {
		/* Another certificate since the row was read, or since the CA
		 * was opened: the next look finds the two alike. */
		local_ca_unref(ca);
		if (!e->former_key)
			local_ca_forget(e->owner->o.cas, e->issuer_id);
		return op_sleep(op, CA_POLL_MS, load_begin);
	}
	ret = make(op, ld, ca, &m);
	local_ca_unref(ca);
	if (ret != RC_OK)
		return op_fail(op, ret,
		    "the certificate of an OCSP responder could not be made");
	return store(op, ld, &m);
}

static enum op_next
load_stored(struct op *op)
{
	struct load *ld = op_state(op, sizeof(*ld));
	rc ret;

	if (!op_bool(op, 0, "is_ours")) /* another worker was faster */
		return op_goto(op, load_begin);
	ret = open_certificate(op, ld, ld->cert, ld->key);
	if (ret != RC_OK)
		return op_fail(op, ret, "what was made cannot be used");
	log_info("OCSP-RESPONDER", "list %s: certificate %.16s..., of %s",
	    ld->e->list, ld->open->fingerprint, ld->ca.common_name);
	hand_over(ld);
	return load_done(op);
}

/* --- entries --- */

static void
on_load_end(struct op *op, rc code, const char *message)
{
	struct entry *e = op_owner(op);

	e->op = NULL;
	e->has_tried = true;
	e->tried_ms = loop_now_ms(e->owner->o.loop);
	e->code = code;
	free(e->why);
	e->why = mem_strdup(message);
	if (code == RC_OK || code == RC_CANCELLED)
		return;
	log_warn("OCSP-RESPONDER", "list %s: %s", e->list, message);
	note_fault(e, message);
}

static void
load_start(struct entry *e)
{
	struct op_env env = {
	    .loop = e->owner->o.loop,
	    .pool = e->owner->o.pool,
	    .deadline_ms = LOAD_DEADLINE_MS,
	    .name = "responder_load",
	    .owner = e,
	    .on_end = on_load_end,
	};
	struct load *ld;

	e->op = op_start(&env, load_begin);
	ld = op_state(e->op, sizeof(*ld));
	ld->e = e;
}

static void
entry_free(struct entry *e)
{
	if (e->op)
		op_abort(e->op, RC_CANCELLED);
	open_unref(e->open);
	HASH_DEL(e->owner->entries, e);
	free(e->list);
	free(e->issuer_id);
	free(e->former_key);
	free(e->why);
	free(e);
}

static struct entry *
entry_get(struct responders *s, const struct responder_ca *ca)
{
	struct entry *e;

	HASH_FIND_STR(s->entries, ca->list, e);
	if (!e) {
		e = mem_zalloc(sizeof(*e));
		e->owner = s;
		e->list = mem_strdup(ca->list);
		e->issuer_id = mem_strdup(ca->issuer_id);
		HASH_ADD_KEYPTR(hh, s->entries, e->list, strlen(e->list), e);
	}
	/* A key that signed may have become a former one since. */
	if (!e->op) {
		mem_freep(&e->former_key);
		if (ca->former_key)
			e->former_key = mem_strdup(ca->former_key);
	}
	return e;
}

struct responders *
responders_new(const struct responders_opts *opts)
{
	struct responders *s = mem_zalloc(sizeof(*s));

	s->o = *opts;
	return s;
}

void
responders_free(struct responders *s)
{
	while (s && s->entries)
		entry_free(s->entries);
	free(s);
}

/* The one the database names, before its end. */
static bool
serves(const struct entry *e, const struct responder_ca *ca)
{
	return e->open && strcmp(e->open->fingerprint, ca->responder) == 0 &&
	       ca->now_unix < e->open->r.not_after_unix;
}

/* Whether it is time to load one, or to have the next made. */
static bool
is_to_try(const struct entry *e, bool is_served)
{
	return !e->has_tried || e->code == RC_OK ||
	       loop_now_ms(e->owner->o.loop) - e->tried_ms >=
		   (is_served ? RENEW_RETRY_MS : RETRY_MS);
}

rc
responders_get(struct responders *s, const struct responder_ca *ca,
    struct responder **out, const char **out_why)
{
	struct entry *e = entry_get(s, ca);
	bool is_served = serves(e, ca), is_new;

	*out_why = "";
	/* Just made or loaded, which the caller's row does not know of. */
	is_new = !e->op && e->open && e->code == RC_OK && e->has_tried &&
		 loop_now_ms(s->o.loop) - e->tried_ms < RETRY_MS;
	if (!e->op && !is_new &&
	    !(is_served && ca->now_unix < e->open->due_unix) &&
	    is_to_try(e, is_served))
		load_start(e);
	if (!is_served && !is_new) {
		*out_why = e->op ? "" : e->why;
		return e->op ? RC_BUSY : e->code;
	}
	e->open->refs++;
	*out = &e->open->r;
	return RC_OK;
}
