#include "worker/issuers/acme_config.h"

#include <string.h>

#include "common/base/enc.h"
#include "common/base/hostname.h"
#include "common/base/mem.h"
#include "common/json/json.h"
#include "worker/issuers/issuer_config.h"
#include "worker/issuers/issuer_http.h"
#include "worker/issuers/script_rules.h"

#define TEXT_MAX 255
#define PATH_BYTES_MAX 1024
#define HTTPS "https://"
#define HTTP_PORT_DEFAULT 80
#define PROPAGATION_DEFAULT_S 30
#define PROPAGATION_MAX_S 3600
#define MAC_BYTES_LEAST 16
#define WINDOW_DEFAULT_S 15
#define WINDOW_MAX_S 25

/* Who has no account there can't harm anybody by them. */
static const char *const known_directories[] = {
    "https://acme-v02.api.letsencrypt.org/directory",
    "https://acme-staging-v02.api.letsencrypt.org/directory",
    "https://acme.zerossl.com/v2/DV90",
    "https://dv.acme-v02.api.pki.goog/directory",
    "https://dv.acme-v02.test-api.pki.goog/directory",
    "https://acme.ssl.com/sslcom-dv-ecc",
    "https://acme.ssl.com/sslcom-dv-rsa",
    "https://api.buypass.com/acme/directory",
    NULL,
};

static const char *const challenges[] = {
    [ACME_HTTP01] = "http-01",
    [ACME_DNS01] = "dns-01",
    [ACME_DNS_PERSIST01] = "dns-persist-01",
};

const char *
acme_challenge_name(enum acme_challenge challenge)
{
	return challenges[challenge];
}

/* --- where the CA is --- */

static size_t
origin_len(const char *url)
{
	return strlen(HTTPS) + strcspn(url + strlen(HTTPS), "/?#");
}

bool
acme_config_is_at_ca(const struct acme_config *c, const char *url)
{
	size_t len = origin_len(c->directory_url);

	return strncmp(url, c->directory_url, len) == 0 && url[len] == '/';
}

/* --- reading --- */

struct reading {
	const struct issuer_env *env;
	struct arena *a;
	const char *text;
	const struct cJSON *object; /* of the text */
	const char *why;
};

static rc
refuse(struct reading *r, rc code, const char *why)
{
	r->why = why;
	return code;
}

/* Of a key that is absent the value is "". */
static rc
read_text(struct reading *r, const char *name, size_t max, const char **out)
{
	rc ret;

	*out = "";
	ret = json_str(r->object, name, max, out);
	if (ret == RC_OK || ret == RC_NOT_FOUND)
		return RC_OK;
	return refuse(r, RC_INVALID,
	    arena_printf(r->a, "%s is no text, or is too long", name));
}

static rc
read_int(struct reading *r, const char *name, int64_t least, int64_t most,
    int64_t *out)
{
	rc ret = json_int(r->object, name, least, most, out);

	if (ret == RC_OK || ret == RC_NOT_FOUND)
		return RC_OK;
	return refuse(r, RC_INVALID,
	    arena_printf(r->a, "%s is out of range", name));
}

static rc
read_directory(struct reading *r, struct acme_config *c)
{
	rc ret = read_text(r, "directory_url", TEXT_MAX, &c->directory_url);

	if (ret != RC_OK)
		return ret;
	if (strncmp(c->directory_url, HTTPS, strlen(HTTPS)) != 0 ||
	    origin_len(c->directory_url) == strlen(HTTPS))
		return refuse(r, RC_INVALID,
		    "directory_url is missing, or does not begin with "
		    "https://");
	if (issuer_http_allows_url(r->env, known_directories, c->directory_url))
		return RC_OK;
	return refuse(r, RC_IO,
	    arena_printf(r->a,
		"directory_url is none of the known CAs', %s for instance; the "
		"workers' hosts may allow others by CERTCTL_ISSUER_BASE_URLS",
		known_directories[0]));
}

static rc
read_email(struct reading *r, struct acme_config *c)
{
	rc ret = read_text(r, "email", TEXT_MAX, &c->email);
	const char *at = strchr(c->email, '@');

	if (ret != RC_OK || c->email[0] == '\0')
		return ret;
	if (at && at != c->email && at[1] != '\0' &&
	    !strpbrk(c->email, " \t\r\n,<>\"\\?&%"))
		return RC_OK;
	return refuse(r, RC_INVALID, "email is no address");
}

struct mac {
	uint8_t *bytes;
	size_t len;
};

static void
wipe(void *arg)
{
	struct mac *m = arg;

	mem_wipe(m->bytes, m->len);
}

/* CAs hand it out in base64url; some in the other alphabet, or with padding. */
static rc
decode_mac(struct reading *r, const char *text, struct span *out)
{
	struct mac *m = arena_alloc(r->a, sizeof(*m));
	char *plain = arena_strdup(r->a, text);
	size_t len = strlen(plain);
	rc ret;

	while (len > 0 && plain[len - 1] == '=')
		plain[--len] = '\0';
	for (char *p = plain; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	ret = enc_unbase64url(r->a, plain, len, &m->bytes, &m->len);
	mem_wipe(plain, len);
	if (ret != RC_OK || m->len < MAC_BYTES_LEAST)
		return refuse(r, RC_INVALID,
		    "eab_hmac is not the CA's MAC key, base64url of 16 bytes "
		    "at least");
	arena_defer(r->a, wipe, m);
	*out = (struct span){m->bytes, m->len};
	return RC_OK;
}

static rc
read_binding(struct reading *r, struct acme_config *c)
{
	struct issuer_config secrets;
	const char *mac = "";
	rc ret;

	ret = read_text(r, "eab_kid", TEXT_MAX, &c->eab_kid);
	if (ret != RC_OK)
		return ret;
	issuer_config_start(&secrets, "ACME", r->env, r->a, r->text);
	issuer_config_secret(&secrets, "eab_hmac", &mac);
	ret = issuer_config_end(&secrets, &r->why);
	if (ret != RC_OK)
		return ret;
	if ((c->eab_kid[0] == '\0') != (mac[0] == '\0'))
		return refuse(r, RC_INVALID,
		    "eab_kid and eab_hmac belong together");
	return mac[0] == '\0' ? RC_OK : decode_mac(r, mac, &c->eab_hmac);
}

static bool
is_listed(const char *const *list, const char *path)
{
	for (; list && *list; list++)
		if (strcmp(*list, path) == 0)
			return true;
	return false;
}

static rc
read_http(struct reading *r, struct acme_config *c)
{
	rc ret = read_int(r, "http_port", 1, 65535, &c->http_port);

	if (ret == RC_OK)
		ret = read_text(r, "webroot", PATH_BYTES_MAX, &c->webroot);
	if (ret != RC_OK || c->webroot[0] == '\0')
		return ret;
	if (is_listed(r->env->acme_webroots, c->webroot))
		return RC_OK;
	return refuse(r, RC_IO,
	    arena_printf(r->a,
		"webroot %s is none of CERTCTL_ACME_WEBROOTS on this worker's "
		"host",
		c->webroot));
}

static rc
check_script(struct reading *r, const char *path)
{
	if (path[0] == '\0')
		return RC_OK;
	return script_rules_check(r->env->script_dir, r->a, path, &r->why);
}

static rc
read_dns(struct reading *r, struct acme_config *c)
{
	rc ret;

	ret = read_text(r, "dns_present_script", PATH_BYTES_MAX,
	    &c->present_script);
	if (ret == RC_OK)
		ret = read_text(r, "dns_cleanup_script", PATH_BYTES_MAX,
		    &c->cleanup_script);
	if (ret == RC_OK)
		ret = read_int(r, "dns_propagation_wait", 0, PROPAGATION_MAX_S,
		    &c->propagation_s);
	if (ret == RC_OK)
		ret = read_text(r, "dns_persist_issuer_domain", TEXT_MAX,
		    &c->persist_issuer);
	if (ret != RC_OK || c->challenge == ACME_HTTP01)
		return ret;
	if (c->present_script[0] == '\0')
		return refuse(r, RC_INVALID,
		    arena_printf(r->a, "%s needs dns_present_script",
			acme_challenge_name(c->challenge)));
	if (c->challenge == ACME_DNS_PERSIST01 &&
	    !hostname_is_valid(c->persist_issuer, false))
		return refuse(r, RC_INVALID,
		    "dns-persist-01 needs dns_persist_issuer_domain, the CA's "
		    "name as letsencrypt.org");
	ret = check_script(r, c->present_script);
	return ret == RC_OK ? check_script(r, c->cleanup_script) : ret;
}

static rc
read_challenge(struct reading *r, struct acme_config *c)
{
	const char *word;
	rc ret = read_text(r, "challenge_type", TEXT_MAX, &word);

	if (ret != RC_OK || word[0] == '\0')
		return ret;
	for (size_t i = 0; i < ARRAY_LEN(challenges); i++) {
		if (strcmp(word, challenges[i]) == 0) {
			c->challenge = (enum acme_challenge)i;
			return RC_OK;
		}
	}
	return refuse(r, RC_INVALID,
	    "challenge_type is none of http-01, dns-01 and dns-persist-01");
}

static rc
read_profile(struct reading *r, struct acme_config *c)
{
	rc ret = read_text(r, "profile", 64, &c->profile);

	if (ret == RC_OK &&
	    strspn(c->profile, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
			       "VWXYZ0123456789-") != strlen(c->profile))
		return refuse(r, RC_INVALID,
		    "profile is letters, digits and \"-\" only");
	return ret;
}

static rc
read_windows(struct reading *r, struct acme_config *c)
{
	rc ret = json_bool(r->object, "ari_enabled", &c->asks_windows);

	if (ret != RC_OK && ret != RC_NOT_FOUND)
		return refuse(r, RC_INVALID,
		    "ari_enabled is neither true nor false");
	return read_int(r, "ari_http_timeout_seconds", 1, WINDOW_MAX_S,
	    &c->window_s);
}

rc
acme_config_read(const struct issuer_env *env, struct arena *a,
    const char *text, struct acme_config *out, const char **out_why)
{
	static rc (*const parts[])(struct reading *,
	    struct acme_config *) = {read_directory, read_email, read_challenge,
	    read_http, read_dns, read_profile, read_windows, read_binding};
	struct acme_config c = {
	    .http_port = HTTP_PORT_DEFAULT,
	    .propagation_s = PROPAGATION_DEFAULT_S,
	    .window_s = WINDOW_DEFAULT_S,
	};
	struct reading r = {.env = env, .a = a, .text = text};
	rc ret;

	ret = json_parse(a, text, strlen(text), &r.object, out_why);
	if (ret != RC_OK)
		return RC_INVALID;
	for (size_t i = 0; i < ARRAY_LEN(parts) && ret == RC_OK; i++)
		ret = parts[i](&r, &c);
	if (ret != RC_OK) {
		*out_why = r.why;
		return ret;
	}
	*out = c;
	return RC_OK;
}
