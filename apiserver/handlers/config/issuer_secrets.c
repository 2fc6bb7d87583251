#include "apiserver/handlers/config/issuer_secrets.h"

#include <cjson/cJSON.h>
#include <openssl/x509.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/config/check.h"
#include "apiserver/resources/secretkey.h"
#include "common/base/buf.h"
#include "common/cfg/cfg.h"
#include "common/issuer/issuer_type.h"
#include "common/json/json.h"
#include "common/pki/key/envelope.h"

static void
free_cert(void *arg)
{
	X509_free(arg);
}

/* Read each time: it is replaced while the process runs. */
static const char *
recipient(struct op *op, const char *name, X509 **out)
{
	const char *path = cfg_str(req_api(op)->cfg, "issuer_secrets_cert");
	const char *why;
	rc ret;

	if (path[0] == '\0')
		return op_printf(op,
		    "config.%s: this apiserver can seal no secrets; set "
		    "CERTCTL_ISSUER_SECRETS_CERT to the certificate of the "
		    "workers",
		    name);
	ret = envelope_cert_read(op_arena(op), path, out, &why);
	if (ret != RC_OK)
		return op_printf(op,
		    "config.%s: it can't be sealed; "
		    "CERTCTL_ISSUER_SECRETS_CERT: %s",
		    name, why);
	arena_defer(op_arena(op), free_cert, *out);
	return NULL;
}

static bool
is_secret(const struct issuer_type *t, const struct cJSON *member)
{
	for (size_t i = 0; i < t->nkeys; i++) {
		if (t->keys[i].type == KEY_SECRET &&
		    strcmp(t->keys[i].name, member->string) == 0)
			return strcmp(member->valuestring, SECRETKEY_MASK) != 0;
	}
	return false;
}

static const char *
put_sealed(struct op *op, const struct issuer_type *t, struct json_w *w,
    const struct cJSON *member)
{
	struct arena *a = op_arena(op);
	struct envelope e;
	const char *why;
	X509 *to;
	rc ret;

	why = recipient(op, member->string, &to);
	if (why != NULL)
		return why;
	ret = envelope_seal(a, to,
	    arena_printf(a, "%s:%s", t->type, member->string),
	    member->valuestring, &e);
	if (ret != RC_OK)
		return arena_printf(a, "config.%s can't be sealed",
		    member->string);
	json_w_key(w, member->string);
	json_w_open(w, '{');
	json_w_kv(w, "cms", e.cms);
	json_w_kv(w, "to", e.to);
	json_w_close(w, '}');
	return NULL;
}

static const char *
put_config(struct op *op, const struct issuer_type *t, struct json_w *w,
    const struct cJSON *config)
{
	const struct cJSON *member;
	const char *why = NULL;

	json_w_open(w, '{');
	cJSON_ArrayForEach(member, config)
	{
		if (why == NULL && cJSON_IsString(member) &&
		    is_secret(t, member))
			why = put_sealed(op, t, w, member);
		else
			json_w_kv_raw(w, member->string,
			    json_text(op_arena(op), member));
	}
	json_w_close(w, '}');
	return why;
}

const char *
issuer_secrets_seal(struct op *op, const char *type, const char **given)
{
	const struct cJSON *all, *member;
	const struct issuer_type *t;
	const char *why;
	struct json_w w;
	struct buf b;
	rc ret;

	ret = json_parse(op_arena(op), *given, strlen(*given), &all, &why);
	if (ret != RC_OK)
		return why;
	if (type == NULL && json_str(all, "type", 255, &type) != RC_OK)
		return NULL; /* of a body that is refused */
	t = issuer_type_find(type);
	if (t == NULL)
		return NULL;
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	why = NULL;
	cJSON_ArrayForEach(member, all)
	{
		if (strcmp(member->string, "config") == 0) {
			json_w_key(&w, member->string);
			why = put_config(op, t, &w, member);
		} else {
			json_w_kv_raw(&w, member->string,
			    json_text(op_arena(op), member));
		}
	}
	json_w_close(&w, '}');
	*given = op_printf(op, "%s", buf_cstr(&b));
	buf_fini(&b);
	return why;
}
