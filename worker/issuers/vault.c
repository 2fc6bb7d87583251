/*
 * The issuer of type VaultPKI: the PKI secrets engine of HashiCorp Vault, or of
 * OpenBao.
 *
 * An order is a request that a role signs; the answer is the certificate with
 * what stands above it.  Vault gives it once: there is no list of what was
 * issued in which a certificate could be found again (rest_look_up_none).
 *
 * Who we are says a token, which ends unless it is renewed: vault_token.h.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "common/json/json.h"
#include "worker/issuers/rest_ca.h"
#include "worker/issuers/vault_token.h"

#define TTL_MAX (10 * 365 * 86400)
/* Of /sys/health: a node that stands by, and one that only reads. */
#define STANDBY 429
#define PERFORMANCE_STANDBY 473

static const char *const no_urls[] = {NULL};

struct order { /* in the arena */
	struct rest_order rest;
	struct http_header headers[4];
	const char *mount, *role;
	int64_t ttl_s;
};

/* --- configuration --- */

/* A path of names, without an empty one. */
static bool
is_path(const char *s)
{
	if (s[0] == '\0' || s[0] == '/' || s[strlen(s) - 1] == '/' ||
	    strstr(s, "//") || strstr(s, ".."))
		return false;
	return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789-_./") == strlen(s);
}

static int64_t
unit_s(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	default:
		return 0;
	}
}

/* Seconds of a text like 8760h, 1h30m or 90d; 0: it is none, or too long. */
static int64_t
read_ttl(const char *s)
{
	int64_t total = 0, n;

	while (*s) {
		size_t len = strspn(s, "0123456789");

		if (len == 0 || len > 9 || unit_s(s[len]) == 0)
			return 0;
		for (n = 0; len > 0; len--)
			n = n * 10 + (*s++ - '0');
		total += n * unit_s(*s++);
		if (total > TTL_MAX)
			return 0;
	}
	return total;
}

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	const char *ttl = "8760h", *token = "", *space = "";
	struct http_header *h = o->headers;

	o->mount = "pki";
	o->role = "";
	issuer_config_text(c, "mount", &o->mount);
	issuer_config_text(c, "role", &o->role);
	issuer_config_text(c, "ttl", &ttl);
	issuer_config_text(c, "namespace", &space);
	issuer_config_refuse_if(c, !is_path(o->mount),
	    "mount is no path of the engine, as pki is");
	issuer_config_refuse_if(c,
	    !is_path(o->role) || strchr(o->role, '/') != NULL,
	    "role is no role's name");
	issuer_config_refuse_if(c, space[0] != '\0' && !is_path(space),
	    "namespace is no namespace's path");
	o->ttl_s = read_ttl(ttl);
	issuer_config_refuse_if(c, o->ttl_s == 0,
	    "ttl is no duration of ten years or less, as 8760h or 90d is");
	issuer_config_secret(c, "token", &token);
	*h++ = (struct http_header){"X-Vault-Token", token};
	*h++ = (struct http_header){"X-Vault-Request", "true"};
	if (space[0] != '\0')
		*h++ = (struct http_header){"X-Vault-Namespace", space};
	o->rest.headers = o->headers;
}

/* A call of one that is known to Vault: from then on its token is kept. */
static rc
call(struct order *o, const char *method, const char *path, const char *body,
    issuer_reply_fn *next)
{
	vault_tokens_keep(o->rest.env->vault, o->rest.base_url, o->headers);
	return rest_call(&o->rest, method, path, body, next);
}

/* --- ordering --- */

static bool
is_in(enum san_type type, const char *member)
{
	switch (type) {
	case SAN_IP:
		return strcmp(member, "ip_sans") == 0;
	case SAN_URI:
		return strcmp(member, "uri_sans") == 0;
	case SAN_DNS:
	case SAN_EMAIL:
		break;
	}
	return strcmp(member, "alt_names") == 0;
}

static void
write_names(struct json_w *w, struct order *o, const char *member)
{
	const struct csr *c = o->rest.order->csr;
	const char *text = "";

	for (size_t i = 0; i < c->nnames; i++)
		if (is_in(c->names[i].type, member))
			text = arena_printf(o->rest.a, "%s%s%s", text,
			    text[0] ? "," : "", c->names[i].text);
	if (text[0] != '\0')
		json_w_kv(w, member, text);
}

static int64_t
ttl_of(const struct order *o)
{
	int64_t most = o->rest.order->max_ttl_s;

	return most > 0 && most < o->ttl_s ? most : o->ttl_s;
}

static const char *
write_order(struct order *o)
{
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_kv(w, "csr", o->rest.order->csr_pem);
	json_w_kv(w, "common_name", rest_common_name(o->rest.order));
	write_names(w, o, "alt_names");
	write_names(w, o, "ip_sans");
	write_names(w, o, "uri_sans");
	/* All names are among those. */
	json_w_kv_bool(w, "exclude_cn_from_sans", true);
	json_w_kv(w, "format", "pem");
	json_w_kv(w, "ttl", arena_printf(o->rest.a, "%" PRId64 "s", ttl_of(o)));
	return rest_body_end(&body, o->rest.a);
}

/* The certificate, and those above it: a chain, or the CA's own alone. */
static const char *
certificates_of(struct order *o, const struct cJSON *data)
{
	const struct cJSON *chain = json_get(data, "ca_chain");
	const char *text = "", *ca = "";

	if (json_str(data, "certificate", REST_REPLY_MAX, &text) != RC_OK ||
	    text[0] == '\0')
		return NULL;
	text = rest_pems(&o->rest, text, chain, NULL);
	if (cJSON_GetArraySize(chain) == 0 &&
	    json_str(data, "issuing_ca", REST_REPLY_MAX, &ca) == RC_OK)
		text = arena_printf(o->rest.a, "%s%s\n", text, ca);
	return text;
}

static void
on_signed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const struct cJSON *data = json_get(r->json, "data");
	const char *pem, *serial = "";

	if (!rest_is_good(r)) {
		rest_judge_given(&o->rest, r);
		return;
	}
	pem = certificates_of(o, data);
	if (!pem) {
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order has no certificate", 0);
		return;
	}
	if (json_str(data, "serial_number", REST_TEXT_MAX, &serial) == RC_OK &&
	    serial[0] != '\0')
		o->rest.certificate_id = serial;
	rest_issued(&o->rest, pem, strlen(pem));
}

static rc
vault_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	return call(o, "POST",
	    arena_printf(o->rest.a, "/%s/sign/%s", o->mount, o->role),
	    write_order(o), on_signed);
}

/* --- revoking --- */

/* aa:bb:cc, which Vault calls certificates by. */
static const char *
colon_serial(struct arena *a, const char *hex)
{
	const char *text = "";

	for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2)
		text =
		    arena_printf(a, "%s%s%.2s", text, text[0] ? ":" : "", hex);
	return text;
}

/* Of /cert/<serial>: when it was revoked, in Unix seconds; 0: it is not. */
static bool
is_revoked(const struct cJSON *shown)
{
	int64_t at;

	return json_int(json_get(shown, "data"), "revocation_time", 1,
		   INT64_MAX, &at) == RC_OK;
}

static rc
vault_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	const char *serial = what->certificate_id[0]
				 ? what->certificate_id
				 : colon_serial(o->rest.a, what->serial);
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	rest_begin(&o->rest, NULL, done, arg);
	rest_look_at(&o->rest, arena_printf(o->rest.a, "/%s/cert/%s", o->mount,
				   rest_url_text(o->rest.a, serial)));
	json_w_kv(w, "serial_number", serial);
	return call(o, "POST", arena_printf(o->rest.a, "/%s/revoke", o->mount),
	    rest_body_end(&body, o->rest.a), rest_on_revoked);
}

/* --- testing --- */

static const char *
health_path(void *order)
{
	return "/sys/health";
}

/* A node that stands by passes calls on; whether the token is any good, a call
 * of its own says. */
static void
on_health(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!rest_is_good(r) &&
	    !(r->code == RC_OK &&
		(r->status == STANDBY || r->status == PERFORMANCE_STANDBY))) {
		rest_judge_test(o, r);
		return;
	}
	vault_tokens_keep(o->rest.env->vault, o->rest.base_url, o->headers);
	rest_get(&o->rest, "/auth/token/lookup-self", rest_judge_test);
}

static const struct rest_ca vault = {
    .size = sizeof(struct order),
    .calls = 1,
    .url_key = "addr",
    .own_urls = no_urls,
    .version = "/v1",
    .configure = configure,
    .is_revoked = is_revoked,
    .test_path = health_path,
    .on_tested = on_health,
};

const struct issuer_ops issuer_vault = {
    .type = "VaultPKI",
    .rest = &vault,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = vault_place,
    .look_up = rest_look_up_none,
    .revoke = vault_revoke,
    .validate = rest_validate,
};
