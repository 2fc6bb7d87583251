/*
 * ica_create: makes a CA of an issuer's hierarchy, or registers its root.
 *
 * A root is a certificate made elsewhere, whose key this host can open; a CA
 * below it is made here, with a key of its own.  Neither is stored before a
 * throw-away leaf of it was verified with the whole chain, as a TLS client
 * would.  Certificate, key and the end of the task are one statement: whatever
 * kills a worker, there is one CA, or none and the task goes on elsewhere.
 */
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/plain.h"
#include "common/base/weak.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/cert/subca.h"
#include "common/pki/key/keygen.h"
#include "common/policy/policy.h"
#include "worker/issuers/ca_chain.h"
#include "worker/issuers/ca_open.h"
#include "worker/issuers/crl_urls.h"
#include "worker/kinds/kind.h"

#define DAY_S 86400
#define KEY_POLL_MS 20
#define TTL_DAYS (5 * 365)
#define CRL_URLS_MAX 8
#define CRL_URL_MAX 2048

struct ica {
	const char *issuer_id;
	const struct cJSON *body; /* as the API checked it */
	bool is_root;
	const char *parent_driver, *parent_chain, *key_sealed;
	const char **crl_urls; /* of the CA above */
	struct keygen *keygen; /* NULL: the key is made at once */
	EVP_PKEY *key;         /* of a CA below another; ours */
	struct ca_material m;  /* the new CA; its builder is ours */
	const char *driver;
	const char *sealed;     /* NULL: the key is elsewhere */
	int64_t not_after_unix; /* of the certificate by itself */
	int path_len;
	const char *constraints; /* JSON */
	const char *subject;
};

static op_step ica_loaded;
static op_step ica_make;
static op_step ica_ended;

static void
ica_free(void *arg)
{
	struct ica *c = arg;

	keygen_free(c->keygen);
	EVP_PKEY_free(c->key);
	certbuild_free(c->m.builder);
}

enum op_next
ica_create_begin(struct op *op)
{
	struct task *t = op_owner(op);
	struct ica *c = op_state(op, sizeof(*c));

	arena_defer(op_arena(op), ica_free, c);
	return OP_QUERY(op, Q_INTERMEDIATE_CA_LOAD, ica_loaded, t->subject);
}

/* --- keys --- */

/* Where the key of a root is, or of the CA above: with the issuer, in a file of
 * this host, or sealed beside its certificate. */
static rc
open_key(struct op *op, struct ica *c, const char *driver, EVP_PKEY **out,
    const char **out_why)
{
	struct task *t = op_owner(op);

	if (driver[0] == '/')
		return ca_read_key(op_arena(op), driver, out, out_why);
	if (c->key_sealed[0] == '\0') {
		*out_why = "key_driver_id: the issuer holds no key of that "
			   "certificate";
		return RC_INVALID;
	}
	return ca_open_key(op_arena(op), local_cas_sealer(t->env->cas),
	    c->issuer_id, c->key_sealed, out, out_why);
}

/* --- what is made known of it --- */

static rc
describe(struct op *op, struct ica *c, X509 *x, const char **out_why)
{
	struct arena *a = op_arena(op);
	struct constraints nc;
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *name;
	long len;
	rc ret;

	ret = constraints_of(a, x, &nc, out_why);
	if (ret == RC_OK)
		ret = cert_time(X509_get0_notAfter(x), &c->not_after_unix);
	if (ret == RC_OK &&
	    (!bio || X509_NAME_print_ex(bio, X509_get_subject_name(x), 0,
			 XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0))
		ret = RC_CRYPTO;
	if (ret == RC_OK) {
		len = BIO_get_mem_data(bio, &text);
		name = arena_strndup(a, text, (size_t)len);
		plain_clean(name);
		c->subject = name;
		c->constraints = constraints_json(a, &nc);
		c->path_len = (int)X509_get_pathlen(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	return ret;
}

/* --- a root --- */

static rc
check_root(X509 *x, const char **out_why)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	bool is_own = (X509_get_extension_flags(x) & EXFLAG_SI) != 0 && key &&
		      X509_verify(x, key) == 1;

	ERR_clear_error();
	if (is_own)
		return RC_OK;
	*out_why = "root_cert_pem is not self-signed: it is no root";
	return RC_INVALID;
}

static rc
register_root(struct op *op, struct ica *c, const char **out_why)
{
	struct arena *a = op_arena(op);
	const char *pem = "", *driver = "", *why = "";
	EVP_PKEY *key = NULL;
	X509 *x = NULL;
	char *plain = NULL;
	rc ret;

	*out_why = "root_cert_pem is not a certificate in PEM";
	ret = json_str(c->body, "root_cert_pem", 65536, &pem);
	if (ret == RC_OK)
		ret = json_str(c->body, "key_driver_id", 4096, &driver);
	if (ret == RC_OK)
		ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret == RC_OK)
		ret = check_root(x, out_why);
	if (ret == RC_OK)
		ret = open_key(op, c, driver, &key, out_why);
	if (ret == RC_OK)
		ret = describe(op, c, x, &why);
	if (ret == RC_OK)
		ret = cert_x509_pem(a, x, &plain);
	if (ret == RC_OK)
		ret = ca_open_with(a, plain, plain, key, "root_cert_pem", &c->m,
		    out_why);
	else if (*why)
		*out_why = op_printf(op, "root_cert_pem %s", why);
	c->driver = driver;
	EVP_PKEY_free(key);
	X509_free(x);
	return ret;
}

/* --- a CA below another --- */

struct above {
	struct ca_chain chain;
	EVP_PKEY *key;
};

static rc
read_spec(struct op *op, struct ica *c, X509 *parent, struct subca_spec *s,
    struct constraints *nc, const char **out_why)
{
	struct arena *a = op_arena(op);
	struct constraints above;
	int64_t path_len = SUBCA_NO_PATH_LEN;
	rc ret;

	s->subject = json_get(c->body, "subject");
	s->constraints = nc;
	s->ocsp_url = "";
	s->crl_urls = (const char *const *)c->crl_urls;
	IGNORE_RESULT(
	    json_str(c->body, "ocsp_responder_url", 4096, &s->ocsp_url));
	IGNORE_RESULT(json_int(c->body, "path_len_constraint", 0,
	    SUBCA_PATH_MAX, &path_len));
	s->path_len = (int)path_len;
	ret = subca_path_len(a, parent, &s->path_len, out_why);
	if (ret == RC_OK)
		ret = constraints_read(a, json_get(c->body, "name_constraints"),
		    nc, out_why);
	if (ret == RC_OK)
		ret = constraints_of(a, parent, &above, out_why);
	if (ret == RC_OK)
		ret = constraints_narrow(a, &above, nc, out_why);
	return ret;
}

/* No longer than any of those above it. */
static rc
read_times(struct ica *c, const struct ca_chain *chain, struct subca_spec *s,
    const char **out_why)
{
	int64_t now = clock_wall_us() / 1000000, days = TTL_DAYS, from, until;
	rc ret = RC_OK;

	IGNORE_RESULT(json_int(c->body, "ttl_days", 1, INT32_MAX, &days));
	s->not_before_unix = now - POLICY_BACKDATE;
	s->not_after_unix = now + days * DAY_S;
	for (size_t i = 0; i < chain->n && ret == RC_OK; i++) {
		ret = cert_time(X509_get0_notBefore(chain->certs[i]), &from);
		if (ret == RC_OK)
			ret = cert_time(X509_get0_notAfter(chain->certs[i]),
			    &until);
		if (ret == RC_OK && from > s->not_before_unix)
			s->not_before_unix = from;
		if (ret == RC_OK && until < s->not_after_unix)
			s->not_after_unix = until;
	}
	if (ret == RC_OK && s->not_after_unix - now < POLICY_LIFE_LEAST) {
		*out_why = "the CA above ends too soon";
		ret = RC_INVALID;
	}
	return ret;
}

static rc
make_below(struct op *op, struct ica *c, const struct above *up,
    const struct subca_spec *s, const char **out_why)
{
	struct task *t = op_owner(op);
	struct arena *a = op_arena(op);
	X509 *x = NULL;
	char *pem = NULL;
	rc ret;

	if (sealer_is_weak(local_cas_sealer(t->env->cas))) {
		*out_why = "CERTCTL_CA_ENCRYPTION_KEY: " WEAK_WHY;
		return RC_INVALID;
	}
	*out_why = "the CA could not be made";
	ret = subca_make(up->chain.certs[0], up->key, c->key, s, &x);
	if (ret == RC_OK)
		ret = cert_x509_pem(a, x, &pem);
	if (ret == RC_OK)
		ret = ca_open_with(a, pem,
		    arena_printf(a, "%s%s", pem, c->parent_chain), c->key,
		    "the CA as asked for", &c->m, out_why);
	if (ret == RC_OK)
		ret = describe(op, c, x, out_why);
	if (ret == RC_OK)
		ret = ca_seal_key(a, local_cas_sealer(t->env->cas),
		    c->issuer_id, c->key, &c->sealed);
	if (ret == RC_OK)
		c->driver = op_printf(op, "sealed:%.16s", c->m.key_id);
	X509_free(x);
	return ret;
}

static rc
make_child(struct op *op, struct ica *c, const char **out_why)
{
	struct above up = {.key = NULL};
	struct subca_spec spec;
	struct constraints nc;
	rc ret;

	*out_why = "the chain of the CA above cannot be read";
	ret = ca_chain_read(op_arena(op), c->parent_chain, &up.chain);
	if (ret == RC_OK && up.chain.n > SUBCA_PATH_MAX) {
		*out_why = "there are too many CAs above it";
		ret = RC_INVALID;
	}
	if (ret == RC_OK)
		ret = open_key(op, c, c->parent_driver, &up.key, out_why);
	if (ret == RC_OK)
		ret = read_spec(op, c, up.chain.certs[0], &spec, &nc, out_why);
	if (ret == RC_OK)
		ret = read_times(c, &up.chain, &spec, out_why);
	if (ret == RC_OK)
		ret = make_below(op, c, &up, &spec, out_why);
	ca_chain_fini(&up.chain);
	EVP_PKEY_free(up.key);
	return ret;
}

/* --- the steps --- */

static const char *
made_json(struct op *op, const struct ica *c)
{
	const char *text;
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "subject", c->subject);
	json_w_kv(&w, "cert_pem", c->m.cert_pem);
	json_w_kv(&w, "key_driver_id", c->driver);
	json_w_kv_int(&w, "not_before", c->m.info.not_before_unix);
	json_w_kv_int(&w, "not_after", c->not_after_unix);
	if (c->path_len >= 0)
		json_w_kv_int(&w, "path_len_constraint", c->path_len);
	json_w_kv_raw(&w, "name_constraints", c->constraints);
	json_w_kv(&w, "key_id", c->m.key_id);
	json_w_kv(&w, "serial_number", c->m.info.serial_hex);
	json_w_kv(&w, "fingerprint_sha256", c->m.info.fingerprint_sha256);
	json_w_close(&w, '}');
	text = arena_strdup(op_arena(op), buf_cstr(&b));
	buf_fini(&b);
	return text;
}

static enum op_next
end(struct op *op, const char *refusal, const struct ica *c)
{
	struct task *t = op_owner(op);

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	return OP_QUERY(op, Q_INTERMEDIATE_CA_END, ica_ended,
	    lease_incarnation(t->env->lease), t->lease_text, t->id, refusal,
	    "the CA above is not active any more",
	    refusal ? "{}" : made_json(op, c), refusal ? NULL : c->sealed);
}

/* The issuer's, as they lead to the list of the CA above. */
static rc
read_crl_urls(struct op *op, struct ica *c, const char **out_why)
{
	struct arena *a = op_arena(op);
	const char *text = op_text(op, 0, "config"), *why;
	const struct cJSON *object;
	const char **urls = NULL;
	size_t n = 0;
	rc ret;

	*out_why = "crl_distribution_point_urls of the issuer is no list of "
		   "texts";
	ret = json_parse(a, text, strlen(text), &object, &why);
	if (ret == RC_OK)
		ret = json_str_list(a, object, "crl_distribution_point_urls",
		    CRL_URLS_MAX, CRL_URL_MAX, &urls, &n);
	if (ret == RC_NOT_FOUND)
		ret = RC_OK;
	if (ret != RC_OK)
		return ret;
	c->crl_urls = arena_alloc(a, (n + 1) * sizeof(*urls));
	for (size_t i = 0; i < n; i++)
		c->crl_urls[i] = urls[i];
	c->crl_urls[n] = NULL;
	crl_urls_name(a, c->crl_urls, c->issuer_id,
	    op_text(op, 0, "parent_list"));
	return RC_OK;
}

static enum op_next
ica_loaded(struct op *op)
{
	const char *text, *why = "", *algorithm = subca_algorithms[0];
	struct ica *c = op_state(op, sizeof(*c));
	int bits;
	rc ret;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_IMPLEMENTED, "nothing asks for it");
	text = op_text(op, 0, "body");
	c->issuer_id = op_text(op, 0, "owning_issuer_id");
	c->parent_driver = op_text(op, 0, "parent_driver");
	c->parent_chain = op_text(op, 0, "parent_chain");
	c->key_sealed = op_text(op, 0, "key_sealed");
	ret = json_parse(op_arena(op), text, strlen(text), &c->body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	c->is_root = json_get(c->body, "parent_ca_id") == NULL;
	if (c->is_root)
		return op_goto(op, ica_make);
	ret = read_crl_urls(op, c, &why);
	if (ret != RC_OK)
		return end(op, why, c);
	IGNORE_RESULT(json_str(c->body, "algorithm", 32, &algorithm));
	bits = subca_rsa_bits(algorithm);
	ret = bits ? keygen_start(bits, &c->keygen)
		   : subca_key_new(algorithm, &c->key);
	if (ret != RC_OK)
		return op_fail(op, ret, "the key could not be made");
	return op_goto(op, ica_make);
}

static enum op_next
ica_make(struct op *op)
{
	struct ica *c = op_state(op, sizeof(*c));
	const char *why = "";
	rc ret = RC_OK;

	if (c->keygen && !c->key)
		ret = keygen_take(c->keygen, &c->key);
	if (ret == RC_BUSY)
		return op_sleep(op, KEY_POLL_MS, ica_make);
	if (ret != RC_OK)
		return op_fail(op, ret, "the key could not be made");
	ret = c->is_root ? register_root(op, c, &why) : make_child(op, c, &why);
	/* Another host may have the file that this one has not; of a root whose
	 * key is named just now, it is a mistake to tell of. */
	if (ret == RC_IO && !c->is_root)
		return op_fail(op, ret, "%s", why);
	fault_point("worker.hierarchy.made");
	return end(op, ret == RC_OK ? NULL : why, c);
}

static enum op_next
ica_ended(struct op *op)
{
	const struct ica *c = op_state(op, sizeof(*c));
	struct task *t = op_owner(op);

	fault_point("worker.hierarchy.stored");
	log_info("CA-HIERARCHY", "issuer %s: %s %s, certificate %.16s...",
	    c->issuer_id, t->subject, op_text(op, 0, "outcome"),
	    c->m.info.fingerprint_sha256);
	return op_done(op);
}
