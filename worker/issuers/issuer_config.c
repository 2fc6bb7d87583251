#include "worker/issuers/issuer_config.h"

#include <string.h>

#include "common/json/json.h"
#include "worker/issuers/issuer_http.h"

#define TEXT_MAX 1024

static void
refuse(struct issuer_config *c, rc code, const char *why)
{
	if (c->code != RC_OK)
		return;
	c->code = code;
	c->why = why;
}

void
issuer_config_start(struct issuer_config *c, const struct issuer_env *env,
    struct arena *a, const char *text)
{
	rc ret;

	*c = (struct issuer_config){.env = env, .a = a, .why = ""};
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
	const char *url = own[0], *why;
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

void
issuer_config_secret(struct issuer_config *c, const char *name,
    const char **out)
{
	const char *path = "", *why = "";
	rc ret;

	issuer_config_text(c, name, &path);
	if (c->code != RC_OK)
		return;
	ret = issuer_http_secret(c->env, c->a, path, out, &why);
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
