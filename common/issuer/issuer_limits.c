#include "common/issuer/issuer_limits.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/json/json.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/constraints.h"
#include "common/policy/policy.h"

#define DAY_S 86400
#define MINUTE_S 60
#define CHAIN_MAX 16
#define VALUE_MAX 256

/* What certificates are for, by its name in a profile. */
static const struct {
	const char *name;
	uint32_t bit;
} uses[] = {
    {"serverAuth", XKU_SSL_SERVER},
    {"clientAuth", XKU_SSL_CLIENT},
    {"codeSigning", XKU_CODE_SIGN},
    {"emailProtection", XKU_SMIME},
    {"timeStamping", XKU_TIMESTAMP},
};

struct limits {
	struct arena *a;
	const struct cJSON *config; /* NULL: none that can be read */
	const char *chain_pem;
	struct json_w w;
};

static const char *
text_of(const struct limits *l, const char *key)
{
	const char *text = "";

	if (l->config)
		IGNORE_RESULT(json_str(l->config, key, VALUE_MAX, &text));
	return text;
}

static int64_t
number_of(const struct limits *l, const char *key, int64_t dflt)
{
	if (l->config)
		IGNORE_RESULT(json_int(l->config, key, 1, INT32_MAX, &dflt));
	return dflt;
}

static void
put_list(struct limits *l, const char *name, const char *const *items)
{
	json_w_key(&l->w, name);
	json_w_open(&l->w, '[');
	for (; *items; items++)
		json_w_str(&l->w, *items);
	json_w_close(&l->w, ']');
}

/* --- CAs that browsers trust --- */

/* The Baseline Requirements of the CA/Browser Forum for TLS, which leave them
 * no choice: purposes (section 7.1.2.7.10) and keys (section 6.1.5). */
static void
put_public(struct limits *l)
{
	static const char *const ekus[] = {"codeSigning", "emailProtection",
	    "timeStamping", NULL};
	static const char *const keys[] = {"Ed25519", NULL};

	put_list(l, "ekus", ekus);
	put_list(l, "keys", keys);
}

static bool
begins_with(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void
limit_digicert(struct limits *l)
{
	static const char *const names[] = {"email", "uri", NULL};
	const char *product = text_of(l, "product_type");

	if (product[0] == '\0' || begins_with(product, "ssl_"))
		put_public(l);
	put_list(l, "names", names);
	json_w_kv_int(&l->w, "least_life", DAY_S);
}

static void
limit_sectigo(struct limits *l)
{
	static const char *const names[] = {"email", "uri", NULL};

	put_list(l, "names", names);
	json_w_kv_int(&l->w, "least_life", DAY_S);
}

static void
limit_entrust(struct limits *l)
{
	json_w_kv_int(&l->w, "least_life", MINUTE_S);
}

/* RFC 8555 section 8.3: http-01 proves no wildcard; RFC 8738 section 4: no
 * address is proven by the DNS.  There is no identifier of another kind. */
static void
limit_acme(struct limits *l)
{
	static const char *const by_http[] = {"wildcard", "email", "uri", NULL};
	static const char *const by_dns[] = {"ip", "email", "uri", NULL};
	static const char *const public_cas[] =
	    {"https://acme-v02.api.letsencrypt.org/",
		"https://acme.zerossl.com/",
		"https://dv.acme-v02.api.pki.goog/", "https://acme.ssl.com/",
		"https://api.buypass.com/"};
	const char *how = text_of(l, "challenge_type");
	const char *url = text_of(l, "directory_url");

	put_list(l, "names", begins_with(how, "dns-") ? by_dns : by_http);
	for (size_t i = 0; i < ARRAY_LEN(public_cas); i++) {
		if (begins_with(url, public_cas[i])) {
			put_public(l);
			return;
		}
	}
}

/* --- our own CA --- */

static void
put_uses(struct limits *l, uint32_t all)
{
	const char *others[ARRAY_LEN(uses) + 1];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (!(all & uses[i].bit))
			others[n++] = uses[i].name;
	}
	others[n] = NULL;
	put_list(l, "ekus", others);
}

/* Of one certificate: its constraints, and *all_uses without what it forbids.
 */
static void
put_ca(struct limits *l, struct span der, uint32_t *all_uses)
{
	const unsigned char *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.len);
	struct constraints c;
	const char *why;
	uint32_t bits;
	rc ret;

	if (!x)
		return;
	bits = X509_get_extended_key_usage(x);
	if (!(bits & XKU_ANYEKU))
		*all_uses &= bits;
	ret = constraints_of(l->a, x, &c, &why);
	if (ret == RC_OK && c.npermitted + c.nexcluded > 0)
		/* As the list of one that it is. */
		json_w_raw(&l->w, constraints_json(l->a, &c));
	X509_free(x);
}

/* A leaf is as good as every CA above it lets it be (RFC 5280 section 6.1). */
static void
limit_local(struct limits *l)
{
	struct span rest = {(const uint8_t *)l->chain_pem,
	    strlen(l->chain_pem)};
	uint32_t all = UINT32_MAX;
	struct span der;

	if (number_of(l, "validity_seconds", POLICY_SHORT_LIVED) <
	    POLICY_SHORT_LIVED)
		json_w_kv_int(&l->w, "short", POLICY_SHORT_LIVED);
	json_w_key(&l->w, "trees");
	json_w_open(&l->w, '[');
	for (size_t i = 0; i < CHAIN_MAX &&
			   pem_read(l->a, "CERTIFICATE", (const char *)rest.p,
			       rest.len, &der, &rest) == RC_OK;
	     i++)
		put_ca(l, der, &all);
	json_w_close(&l->w, ']');
	put_uses(l, all);
	ERR_clear_error();
}

static const struct {
	const char *type;
	void (*put)(struct limits *l);
} all_types[] = {
    {"ACME", limit_acme},
    {"DigiCert", limit_digicert},
    {"Entrust", limit_entrust},
    {"GenericCA", limit_local},
    {"Sectigo", limit_sectigo},
};

const char *
issuer_limits_json(struct arena *a, const char *type, const char *config,
    const char *chain_pem)
{
	struct limits l = {.a = a, .chain_pem = chain_pem};
	CLEANUP(buf_fini) struct buf text;
	const char *why;

	if (json_parse(a, config, strlen(config), &l.config, &why) != RC_OK)
		l.config = NULL;
	buf_init(&text, 0);
	json_w_init(&l.w, &text);
	json_w_open(&l.w, '{');
	for (size_t i = 0; i < ARRAY_LEN(all_types); i++) {
		if (strcmp(all_types[i].type, type) == 0)
			all_types[i].put(&l);
	}
	json_w_close(&l.w, '}');
	return arena_strdup(a, buf_cstr(&text));
}
