#include "apiserver/resources/field.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/secretkey.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/buf.h"
#include "common/base/plain.h"

/* One body being read. */
struct reading {
	struct arena *a;
	struct json_w w;
	bool is_whole;   /* what the body leaves out has its default */
	const char *why; /* set by what refuses */
};

static bool
refused(struct reading *r, const struct field *f, const char *what)
{
	r->why = arena_printf(r->a, "%s %s", f->name, what);
	return false;
}

static const char *
word_read(struct reading *r, const struct field *f, const char *text)
{
	const char *all = "";
	size_t n = 0;

	while (f->words[n] != NULL)
		n++;
	text = fieldtext_canonical(f->words, n, text);
	if (text != NULL)
		return text;
	for (size_t i = 0; i < n; i++)
		all = arena_printf(r->a, "%s%s%s", all, i > 0 ? ", " : "",
		    f->words[i]);
	(void)refused(r, f, arena_printf(r->a, "must be one of %s", all));
	return NULL;
}

/* Checks and converts one text; NULL when it is refused. */
static const char *
text_read(struct reading *r, const struct field *f, const char *text)
{
	const char *why = NULL;
	const char *stored;

	if (!fieldtext_fits(text, f->max)) {
		r->why =
		    arena_printf(r->a, "%s must be %lld characters or fewer",
			f->name, (long long)f->max);
		return NULL;
	}
	if (!(f->flags & FIELD_MULTILINE ? plain_is_text(text)
					 : plain_is_line(text))) {
		(void)refused(r, f,
		    "must not contain control characters or "
		    "others that can't be seen");
		return NULL;
	}
	if (text[0] != '\0' && plain_is_blank(text)) {
		(void)refused(r, f, "must not be blank");
		return NULL;
	}
	if ((f->flags & FIELD_ID) != 0 && !fieldtext_is_id(text)) {
		(void)refused(r, f,
		    "must be 1 to 128 of A-Z a-z 0-9 . _ -, not - first");
		return NULL;
	}
	if (f->words != NULL)
		return word_read(r, f, text);
	if (f->convert == NULL)
		return text;
	stored = f->convert(r->a, text, &why);
	if (stored == NULL)
		(void)refused(r, f, why);
	return stored;
}

static bool
texts_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	size_t max = f->max_items > 0 ? f->max_items : FIELD_TEXTS_MAX;
	const struct cJSON *item;
	const char *text;

	if (!cJSON_IsArray(value))
		return refused(r, f, "must be an array of strings");
	if ((size_t)cJSON_GetArraySize(value) > max)
		return refused(r, f,
		    arena_printf(r->a, "has more than %zu members", max));
	json_w_key(&r->w, f->name);
	json_w_open(&r->w, '[');
	cJSON_ArrayForEach(item, value)
	{
		if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
			return refused(r, f, "must be an array of strings");
		text = text_read(r, f, item->valuestring);
		if (text == NULL)
			return false;
		json_w_str(&r->w, text);
	}
	json_w_close(&r->w, ']');
	return true;
}

static bool
objects_read(struct reading *r, const struct field *f,
    const struct cJSON *value)
{
	size_t max = f->max_items > 0 ? f->max_items : FIELD_TEXTS_MAX;
	const struct cJSON *item;

	if (!cJSON_IsArray(value) || (size_t)cJSON_GetArraySize(value) > max)
		return refused(r, f,
		    arena_printf(r->a,
			"must be an array of at most %zu "
			"objects",
			max));
	cJSON_ArrayForEach(item, value)
	{
		if (!cJSON_IsObject(item))
			return refused(r, f, "must be an array of objects");
	}
	r->why = f->check != NULL ? f->check(r->a, value) : NULL;
	if (r->why != NULL)
		return false;
	json_w_kv_raw(&r->w, f->name, json_text(r->a, value));
	return true;
}

static bool
is_whole(const struct cJSON *item, int64_t min, int64_t max)
{
	double v = item->valuedouble;

	/* Within 2^53 by json_parse, so the conversions are exact. */
	return cJSON_IsNumber(item) && v >= (double)min && v <= (double)max &&
	       (double)(int64_t)v == v;
}

static bool
int_refused(struct reading *r, const struct field *f, const char *each)
{
	return refused(r, f,
	    arena_printf(r->a, "must be %s from %lld to %lld", each,
		(long long)f->min, (long long)f->max));
}

static bool
is_said_before(const struct cJSON *list, const struct cJSON *number)
{
	const struct cJSON *item = list->child;

	while (item != number && item->valuedouble != number->valuedouble)
		item = item->next;
	return item != number;
}

static bool
ints_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	const struct cJSON *item;

	if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) > FIELD_INTS_MAX)
		return int_refused(r, f, "an array of whole numbers");
	json_w_key(&r->w, f->name);
	json_w_open(&r->w, '[');
	cJSON_ArrayForEach(item, value)
	{
		if (!is_whole(item, f->min, f->max))
			return int_refused(r, f, "an array of whole numbers");
		if ((f->flags & FIELD_ONCE) == 0 ||
		    !is_said_before(value, item))
			json_w_int(&r->w, (int64_t)item->valuedouble);
	}
	json_w_close(&r->w, ']');
	return true;
}

static bool
tags_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	const struct cJSON *item;

	if (!cJSON_IsObject(value) ||
	    cJSON_GetArraySize(value) > FIELD_TAGS_MAX)
		return refused(r, f,
		    "must be an object of at most 100 strings");
	cJSON_ArrayForEach(item, value)
	{
		if (!cJSON_IsString(item) ||
		    !fieldtext_fits(item->valuestring, f->max) ||
		    !fieldtext_fits(item->string, f->max))
			return refused(r, f,
			    "must be an object of strings, not too long");
		if (!plain_is_line(item->valuestring) ||
		    !plain_is_line(item->string))
			return refused(r, f,
			    "must not contain control characters or others "
			    "that can't be seen");
	}
	json_w_kv_raw(&r->w, f->name, json_text(r->a, value));
	return true;
}

/* What says nothing is not kept: no reader need know of it. */
static void
config_put(struct reading *r, const struct field *f, const struct cJSON *config)
{
	const struct cJSON *item;

	json_w_key(&r->w, f->name);
	json_w_open(&r->w, '{');
	cJSON_ArrayForEach(item, config)
	{
		if (cJSON_IsNull(item) ||
		    (cJSON_IsString(item) && item->valuestring[0] == '\0'))
			continue;
		json_w_kv_raw(&r->w, item->string, json_text(r->a, item));
	}
	json_w_close(&r->w, '}');
}

static const struct field *
member_of(const struct field *f, const char *name)
{
	for (size_t i = 0; i < f->nmembers; i++)
		if (strcmp(f->members[i].name, name) == 0)
			return &f->members[i];
	return NULL;
}

static bool
members_check(struct reading *r, const struct field *f,
    const struct cJSON *object)
{
	const struct cJSON *item;
	const struct field *m;
	const char *all = "";

	for (size_t i = 0; i < f->nmembers; i++)
		all = arena_printf(r->a, "%s%s%s", all, i > 0 ? ", " : "",
		    f->members[i].name);
	cJSON_ArrayForEach(item, object)
	{
		m = member_of(f, item->string);
		if (m == NULL)
			r->why = arena_printf(r->a, "%s: %s is unknown, use %s",
			    f->name, item->string, all);
		else if (!is_whole(item, m->min, m->max))
			r->why = arena_printf(r->a,
			    "%s: %s must be a whole number from %lld to %lld",
			    f->name, m->name, (long long)m->min,
			    (long long)m->max);
		if (r->why != NULL)
			return false;
	}
	return true;
}

static bool
object_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	if (!cJSON_IsObject(value))
		return refused(r, f, "must be an object");
	if (f->members != NULL && !members_check(r, f, value))
		return false;
	r->why = f->check != NULL ? f->check(r->a, value) : NULL;
	if (r->why != NULL)
		return false;
	if (f->type == FIELD_CONFIG)
		config_put(r, f, value);
	else
		json_w_kv_raw(&r->w, f->name, json_text(r->a, value));
	return true;
}

static bool
scalar_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	const char *text;

	switch (f->type) {
	case FIELD_TEXT:
		if (!cJSON_IsString(value))
			return refused(r, f, "must be a string");
		text = text_read(r, f, value->valuestring);
		if (text == NULL)
			return false;
		json_w_kv(&r->w, f->name, text);
		return true;
	case FIELD_INT:
		if (!is_whole(value, f->min, f->max))
			return int_refused(r, f, "a whole number");
		json_w_kv_int(&r->w, f->name, (int64_t)value->valuedouble);
		return true;
	case FIELD_BOOL:
		if (!cJSON_IsBool(value))
			return refused(r, f, "must be true or false");
		json_w_kv_bool(&r->w, f->name, cJSON_IsTrue(value));
		return true;
	default:
		if (!cJSON_IsString(value) ||
		    !wiretime_is_valid(value->valuestring, false))
			return refused(r, f, "must be an RFC 3339 time");
		json_w_kv(&r->w, f->name, value->valuestring);
		return true;
	}
}

/* 0, [] or {}, whichever is of the field's type. */
static bool
is_zero(const struct field *f, const struct cJSON *value)
{
	switch (f->type) {
	case FIELD_INT:
		return cJSON_IsNumber(value) && value->valuedouble == 0;
	case FIELD_TEXTS:
	case FIELD_INTS:
	case FIELD_OBJECTS:
		return cJSON_IsArray(value) && cJSON_GetArraySize(value) == 0;
	default:
		return cJSON_IsObject(value) && cJSON_GetArraySize(value) == 0;
	}
}

/* Whether the body says nothing of the field, by the field's rules. */
static bool
is_absent(const struct field *f, const struct cJSON *value)
{
	if (value == NULL || cJSON_IsNull(value))
		return true;
	if (cJSON_IsString(value) && value->valuestring[0] == '\0')
		return (f->flags & (FIELD_EMPTY_ABSENT | FIELD_REQUIRED)) !=
			   0 ||
		       f->type == FIELD_TIME;
	if (f->type == FIELD_TIME && cJSON_IsString(value))
		return strcmp(value->valuestring, WIRETIME_ZERO) == 0;
	return (f->flags & (FIELD_ZERO_DEFAULT | FIELD_ZERO_ABSENT)) != 0 &&
	       is_zero(f, value);
}

static bool
absent_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	bool is_said = value != NULL && !cJSON_IsNull(value);
	bool is_kept = (f->flags & FIELD_ZERO_ABSENT) != 0;

	if ((f->flags & FIELD_REQUIRED) != 0) {
		/* An update leaves out what it keeps; it can't empty it. */
		if (r->is_whole || (is_said && !is_kept &&
				       (f->flags & FIELD_EMPTY_ABSENT) == 0))
			return refused(r, f, "is required");
		return true;
	}
	if (value != NULL && !is_said && (f->flags & FIELD_CLEARABLE) != 0) {
		json_w_key(&r->w, f->name);
		json_w_null(&r->w);
	} else if (f->dflt != NULL && (r->is_whole || (is_said && !is_kept))) {
		json_w_kv_raw(&r->w, f->name, f->dflt);
	}
	return true;
}

static bool
value_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	switch (f->type) {
	case FIELD_TEXTS:
		return texts_read(r, f, value);
	case FIELD_INTS:
		return ints_read(r, f, value);
	case FIELD_OBJECTS:
		return objects_read(r, f, value);
	case FIELD_TAGS:
		return tags_read(r, f, value);
	case FIELD_OBJECT:
	case FIELD_CONFIG:
		return object_read(r, f, value);
	default:
		return scalar_read(r, f, value);
	}
}

/* Into a document of its own, which nobody reads. */
static bool
claim_read(struct reading *r, const struct field *f, const struct cJSON *value)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w kept = r->w;
	bool is_good;

	buf_init(&b, 0);
	json_w_init(&r->w, &b);
	json_w_open(&r->w, '{');
	is_good = value_read(r, f, value);
	r->w = kept;
	return is_good;
}

static bool
one_read(struct reading *r, const struct field *f, const struct cJSON *body)
{
	const struct cJSON *value = json_get(body, f->name);

	if (is_absent(f, value))
		return absent_read(r, f, value);
	return (f->flags & FIELD_CLAIM) != 0 ? claim_read(r, f, value)
					     : value_read(r, f, value);
}

/* Passes by the fields that have one of the flags skip. */
static rc
all_read(struct reading *r, const struct field *fields, size_t n,
    const struct cJSON *body, unsigned skip, const char **out_json,
    const char **out_why)
{
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 0);
	json_w_init(&r->w, &b);
	json_w_open(&r->w, '{');
	for (size_t i = 0; i < n; i++) {
		if ((fields[i].flags & skip) != 0)
			continue;
		if (!one_read(r, &fields[i], body)) {
			*out_why = r->why;
			return RC_INVALID;
		}
	}
	json_w_close(&r->w, '}');
	if (!buf_ok(&b)) {
		*out_why = "Invalid request body: too large";
		return RC_INVALID;
	}
	*out_json = arena_strdup(r->a, buf_cstr(&b));
	return RC_OK;
}

rc
field_read(struct arena *a, const struct field *fields, size_t n,
    const struct cJSON *body, bool is_create, const char **out_json,
    const char **out_why)
{
	struct reading r = {.a = a, .is_whole = is_create};
	unsigned skip = FIELD_READ_ONLY;

	if (!is_create)
		skip |= FIELD_CREATE_ONLY;
	return all_read(&r, fields, n, body, skip, out_json, out_why);
}

rc
field_read_whole(struct arena *a, const struct field *fields, size_t n,
    const struct cJSON *body, const char **out_json, const char **out_why)
{
	struct reading r = {.a = a, .is_whole = true};

	return all_read(&r, fields, n, body,
	    FIELD_READ_ONLY | FIELD_CREATE_ONLY, out_json, out_why);
}
