#include "worker/issuers/issuer_config.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/json/json.h"
#include "common/pki/key/envelope.h"
#include "worker/issuers/issuer_http.h"
#include "worker/issuers/issuer_pair.h"

#define TEXT_MAX 1024
#define CMS_MAX 65536

static void
refuse(struct issuer_config *c, rc code, const char *why)
{
	if (c->code != RC_OK)
		return;
	c->code = code;
	c->why = why;
}

void
issuer_config_start(struct issuer_config *c, const char *type,
    const struct issuer_env *env, struct arena *a, const char *text)
{
	rc ret;

	*c =
	    (struct issuer_config){.type = type, .env = env, .a = a, .why = ""};
	ret = json_parse(a, text, strlen(text), &c->object, &c->why);
	if (ret != RC_OK)
		c->code = RC_INVALID;
}

void
issuer_config_text(struct issuer_config *c, const char *name, const char **out)
{
	rc ret;

	if (c->code != RC_OK)
		return;
	ret = json_str(c->object, name, TEXT_MAX, out);
	if (ret != RC_OK && ret != RC_NOT_FOUND)
		refuse(c, RC_INVALID,
		    arena_printf(c->a, "%s is no text, or is too long", name));
}

void
issuer_config_int(struct issuer_config *c, const char *name, int64_t *out)
{
	rc ret;

	if (c->code != RC_OK)
		return;
	ret = json_int(c->object, name, INT64_MIN, INT64_MAX, out);
	if (ret != RC_OK && ret != RC_NOT_FOUND)
		refuse(c, RC_INVALID,
		    arena_printf(c->a, "%s is no whole number", name));
}

void
issuer_config_url(struct issuer_config *c, const char *name,
    const char *const *own, const char **out)
{
	const char *url = own[0] ? own[0] : "", *why;
	size_t len;

	issuer_config_text(c, name, &url);
	if (c->code != RC_OK)
		return;
	for (len = strlen(url); len > 0 && url[len - 1] == '/';)
		len--;
	*out = arena_strndup(c->a, url, len);
	why = issuer_http_refuse_url(c->env, c->a, own, name, *out);
	if (why)
		refuse(c, RC_IO, why); /* another host may allow it */
}

struct opened {
	char *text;
	size_t len;
};

static void
wipe(void *arg)
{
	struct opened *o = arg;

	mem_wipe(o->text, o->len);
}

/* For connectors it is a text, in the arena until that ends. */
static const char *
keep(struct arena *a, const struct secret *s)
{
	struct opened *o = arena_alloc(a, sizeof(*o));

	o->len = secret_len(s);
	o->text = arena_strndup(a, (const char *)secret_bytes(s), o->len);
	arena_defer(a, wipe, o);
	return o->text;
}

/* "" where there is none.  RC_INVALID: it can't be opened; RC_IO: this worker
 * has not its key. */
static rc
open_secret(const struct issuer_env *env, struct arena *a, const char *type,
    const struct cJSON *config, const char *name, const char **out,
    const char **out_why)
{
	const struct cJSON *member = json_get(config, name);
	struct envelope e;
	struct secret *s;
	rc ret;

	if (!member) {
		*out = "";
		return RC_OK;
	}
	if (json_str(member, "cms", CMS_MAX, &e.cms) != RC_OK ||
	    json_str(member, "to", CMS_MAX, &e.to) != RC_OK) {
		*out_why = arena_printf(a,
		    "%s is not sealed: give it anew by the API", name);
		return RC_INVALID;
	}
	ret = envelope_open(env->secrets, arena_printf(a, "%s:%s", type, name),
	    &e, &s);
	if (ret == RC_NOT_FOUND) {
		*out_why = arena_printf(a,
		    "%s is sealed to a key that this worker has not: name its "
		    "file in CERTCTL_ISSUER_SECRETS_KEYS",
		    name);
		return RC_IO;
	}
	if (ret != RC_OK) {
		*out_why = arena_printf(a,
		    "%s can't be opened: give it anew by the API", name);
		return RC_INVALID;
	}
	*out = keep(a, s);
	secret_free(s);
	return RC_OK;
}

void
issuer_config_document(struct issuer_config *c, const char *name,
    const char **out)
{
	const char *text = "", *why = "";
	rc ret;

	if (c->code != RC_OK)
		return;
	ret = open_secret(c->env, c->a, c->type, c->object, name, &text, &why);
	if (ret != RC_OK)
		refuse(c, ret, why);
	else if (text[0] != '\0')
		*out = text;
}

void
issuer_config_secret(struct issuer_config *c, const char *name,
    const char **out)
{
	const char *text = "";

	issuer_config_document(c, name, &text);
	if (c->code != RC_OK)
		return;
	if (!plain_is_line(text))
		refuse(c, RC_INVALID,
		    arena_printf(c->a, "%s is no line of text", name));
	else if (text[0] != '\0')
		*out = text;
}

void
issuer_config_pair(struct issuer_config *c, const char *cert_name,
    const char *key_name, const struct issuer_env **out)
{
	const char *cert = "", *key = "", *why = "";
	rc ret;

	issuer_config_text(c, cert_name, &cert);
	issuer_config_text(c, key_name, &key);
	if (c->code != RC_OK)
		return;
	ret = issuer_pair_open(c->env, c->a, cert, key, out, &why);
	if (ret != RC_OK)
		refuse(c, ret, why);
}

void
issuer_config_key_file(struct issuer_config *c, const char *name,
    const char **out)
{
	const char *path = "", *why = "";
	rc ret;

	issuer_config_text(c, name, &path);
	if (c->code != RC_OK)
		return;
	ret = issuer_pair_read_key(c->env, c->a, path, out, &why);
	if (ret != RC_OK)
		refuse(c, ret, why);
}

void
issuer_config_roots(struct issuer_config *c, const char *name,
    const struct issuer_env **out)
{
	const char *path = "", *why = "";
	rc ret;

	issuer_config_text(c, name, &path);
	if (c->code != RC_OK || path[0] == '\0')
		return;
	ret = issuer_pair_trust_file(c->env, c->a, path, out, &why);
	if (ret != RC_OK)
		refuse(c, ret, why);
}

void
issuer_config_refuse_if(struct issuer_config *c, bool is_wrong, const char *why)
{
	if (is_wrong)
		refuse(c, RC_INVALID, why);
}

rc
issuer_config_end(const struct issuer_config *c, const char **out_why)
{
	if (c->code != RC_OK)
		*out_why = c->why;
	return c->code;
}
