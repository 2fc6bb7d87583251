#include "apiserver/resources/secretkey.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

#include "apiserver/resources/fieldtext.h"
#include "common/base/attr.h"
#include "common/cfg/secretname.h"

/* As it is stored: common/pki/key/envelope.h. */
static bool
is_sealed(const struct cJSON *value)
{
	return cJSON_IsString(cJSON_GetObjectItemCaseSensitive(value, "cms"));
}

/* A list or an object under a secret's name is secret as a whole. */
static void
put_masked(struct arena *a, struct json_w *w, const struct cJSON *value,
    bool is_secret)
{
	bool is_object = cJSON_IsObject(value);
	const struct cJSON *item;

	if (is_secret && is_sealed(value)) {
		json_w_str(w, SECRETKEY_MASK);
		return;
	}
	if (!is_object && !cJSON_IsArray(value)) {
		if (is_secret && cJSON_IsString(value) &&
		    value->valuestring[0] != '\0')
			json_w_str(w, SECRETKEY_MASK);
		else
			json_w_raw(w, json_text(a, value));
		return;
	}
	json_w_open(w, is_object ? '{' : '[');
	cJSON_ArrayForEach(item, value)
	{
		if (is_object)
			json_w_key(w, item->string);
		put_masked(a, w, item,
		    is_secret || (is_object && secretname_is(item->string)));
	}
	json_w_close(w, is_object ? '}' : ']');
}

void
secretkey_put_masked(struct arena *a, struct json_w *w,
    const struct cJSON *value)
{
	put_masked(a, w, value, false);
}

static bool
is_mask(const struct cJSON *value)
{
	return cJSON_IsString(value) &&
	       strcmp(value->valuestring, SECRETKEY_MASK) == 0;
}

static bool
has_mask(const struct cJSON *value)
{
	const struct cJSON *item;

	if (is_mask(value))
		return true;
	cJSON_ArrayForEach(item, value)
	{
		if (has_mask(item))
			return true;
	}
	return false;
}

const char *
secretkey_unkept(struct arena *a, const struct cJSON *sent,
    const struct cJSON *stored)
{
	const struct cJSON *item, *kept;

	cJSON_ArrayForEach(item, sent)
	{
		if (!has_mask(item))
			continue;
		kept = cJSON_GetObjectItemCaseSensitive(stored, item->string);
		if (!is_mask(item) || kept == NULL || cJSON_IsNull(kept))
			return arena_printf(a,
			    "config.%s is " SECRETKEY_MASK
			    ", which keeps what is stored, and nothing is: "
			    "give the value",
			    fieldtext_shown(item->string));
	}
	return NULL;
}

static const char *
refuse(struct arena *a, const struct cJSON *value, const char *secret)
{
	const struct cJSON *item;
	const char *why;

	if (value->string != NULL && secretname_is(value->string))
		secret = value->string;
	if (cJSON_IsString(value) && secret != NULL &&
	    value->valuestring[0] != '\0' && !is_mask(value))
		return arena_printf(a,
		    "config.%s: this version keeps no secrets for this type",
		    fieldtext_shown(secret));
	cJSON_ArrayForEach(item, value)
	{
		why = refuse(a, item, secret);
		if (why != NULL)
			return why;
	}
	return NULL;
}

const char *
secretkey_refuse(struct arena *a, const struct cJSON *member)
{
	return refuse(a, member, NULL);
}
