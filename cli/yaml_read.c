#include "cli/yaml_read.h"

#include <stdbool.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <yaml.h>

#include "cli/yaml_scalar.h"
#include "common/base/enc.h"

struct reader {
	struct arena *arena;
	yaml_parser_t parser;
	yaml_event_t event; /* the last one; ours to delete */
	bool has_event;
	bool as_texts; /* every scalar, as of yaml_read_texts */
	size_t nodes, nodes_max;
	rc ret; /* of the first fault */
	const char *why;
};

static bool
fail(struct reader *r, rc ret, const char *what)
{
	if (r->ret == RC_OK) {
		r->ret = ret;
		r->why = arena_printf(r->arena, "%s in line %zu", what,
		    r->event.start_mark.line + 1);
	}
	return false;
}

static void
drop(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = false;
}

static bool
next(struct reader *r)
{
	drop(r);
	if (yaml_parser_parse(&r->parser, &r->event)) {
		r->has_event = true;
		return true;
	}
	r->event.start_mark = r->parser.problem_mark;
	return fail(r, RC_INVALID,
	    r->parser.problem ? r->parser.problem : "this is no YAML");
}

/* --- scalars --- */

/* Whether what came has neither; told. */
static bool
is_bare(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return fail(r, RC_INVALID, "an anchor is not taken");
	if (tag)
		return fail(r, RC_INVALID, "a tag is not taken");
	return true;
}

/* The scalar that came, checked; NULL after a fault. */
static const char *
scalar_text(struct reader *r)
{
	const char *text = (const char *)r->event.data.scalar.value;

	if (!is_bare(r, r->event.data.scalar.anchor, r->event.data.scalar.tag))
		return NULL;
	if (strlen(text) == r->event.data.scalar.length)
		return text;
	fail(r, RC_INVALID, "a text holds a NUL");
	return NULL;
}

static struct cJSON *
scalar(struct reader *r)
{
	const char *text = scalar_text(r), *why = NULL;
	struct cJSON *json;

	if (!text)
		return NULL;
	if (r->as_texts ||
	    r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return cJSON_CreateString(text);
	json = yaml_scalar_read(r->arena, text, &why);
	if (why)
		fail(r, RC_INVALID, why);
	return json;
}

/* --- lists and mappings --- */

static struct cJSON *value(struct reader *r, int depth);

static struct cJSON *
sequence(struct reader *r, int depth)
{
	struct cJSON *list, *item;

	if (!is_bare(r, r->event.data.sequence_start.anchor,
		r->event.data.sequence_start.tag))
		return NULL;
	list = cJSON_CreateArray();
	while (next(r) && r->event.type != YAML_SEQUENCE_END_EVENT) {
		item = value(r, depth + 1);
		if (!item || !cJSON_AddItemToArray(list, item))
			break;
	}
	if (r->ret == RC_OK)
		return list;
	cJSON_Delete(list);
	return NULL;
}

/* The key that came, in the arena; NULL after a fault. */
static const char *
key_of(struct reader *r, const struct cJSON *object)
{
	const char *key;

	if (++r->nodes > r->nodes_max) {
		fail(r, RC_TOO_LARGE, "there are too many values");
		return NULL;
	}
	if (r->event.type != YAML_SCALAR_EVENT) {
		fail(r, RC_INVALID, "a key is no text");
		return NULL;
	}
	key = scalar_text(r);
	if (!key)
		return NULL;
	if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    strcmp(key, "<<") == 0) {
		fail(r, RC_INVALID, "a merge key is not taken");
		return NULL;
	}
	/* The server finds members whatever their case; others do not. */
	if (r->as_texts ? cJSON_GetObjectItemCaseSensitive(object, key)
			: cJSON_GetObjectItem(object, key)) {
		fail(r, RC_INVALID,
		    arena_printf(r->arena, "\"%.100s\" stands there twice",
			key));
		return NULL;
	}
	return arena_strdup(r->arena, key);
}

static struct cJSON *
mapping(struct reader *r, int depth)
{
	struct cJSON *object, *item;
	size_t nkeys = 0;
	const char *key;

	if (!is_bare(r, r->event.data.mapping_start.anchor,
		r->event.data.mapping_start.tag))
		return NULL;
	object = cJSON_CreateObject();
	while (next(r) && r->event.type != YAML_MAPPING_END_EVENT) {
		/* Each is compared with those before it. */
		if (++nkeys > YAML_KEYS_MAX) {
			fail(r, RC_TOO_LARGE, "a mapping has too many keys");
			break;
		}
		key = key_of(r, object);
		if (!key || !next(r))
			break;
		item = value(r, depth + 1);
		if (!item || !cJSON_AddItemToObject(object, key, item))
			break;
	}
	if (r->ret == RC_OK)
		return object;
	cJSON_Delete(object);
	return NULL;
}

/* The value that begins with the event that came. */
static struct cJSON *
value(struct reader *r, int depth)
{
	if (++r->nodes > r->nodes_max) {
		fail(r, RC_TOO_LARGE, "there are too many values");
		return NULL;
	}
	/* As json_parse counts: scalars are no level of their own. */
	if (depth > YAML_DEPTH_MAX && r->event.type != YAML_SCALAR_EVENT) {
		fail(r, RC_TOO_LARGE, "values are nested too deep");
		return NULL;
	}
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		return scalar(r);
	case YAML_SEQUENCE_START_EVENT:
		return sequence(r, depth);
	case YAML_MAPPING_START_EVENT:
		return mapping(r, depth);
	case YAML_ALIAS_EVENT:
		fail(r, RC_INVALID, "an alias is not taken");
		return NULL;
	default:
		fail(r, RC_INVALID, "this is no YAML");
		return NULL;
	}
}

/* One document, and nothing behind it. */
static struct cJSON *
document(struct reader *r)
{
	struct cJSON *json;

	if (!next(r) || !next(r))
		return NULL;
	if (r->event.type == YAML_STREAM_END_EVENT) {
		fail(r, RC_INVALID, "there is nothing");
		return NULL;
	}
	if (!next(r))
		return NULL;
	json = value(r, 1);
	if (!json)
		return NULL;
	if (next(r) && next(r) && r->event.type != YAML_STREAM_END_EVENT)
		fail(r, RC_INVALID, "a second document begins");
	if (r->ret == RC_OK)
		return json;
	cJSON_Delete(json);
	return NULL;
}

/* All of them, none too. */
static struct cJSON *
documents(struct reader *r)
{
	struct cJSON *list = cJSON_CreateArray(), *json;

	if (!next(r)) /* the stream begins */
		goto bad;
	while (next(r) && r->event.type != YAML_STREAM_END_EVENT) {
		json = next(r) ? value(r, 1) : NULL;
		if (!json || !cJSON_AddItemToArray(list, json) || !next(r))
			goto bad;
	}
	if (r->ret == RC_OK)
		return list;
bad:
	cJSON_Delete(list);
	return NULL;
}

static void
delete_json(void *arg)
{
	cJSON_Delete(arg);
}

static rc
read_all(struct reader *r, const char *text, size_t len,
    struct cJSON *(*read)(struct reader *), struct cJSON **out,
    const char **out_why)
{
	struct cJSON *json;

	*out_why = "it is no UTF-8";
	if (!enc_is_utf8(text, len))
		return RC_INVALID;
	*out_why = "there is no memory for it";
	if (!yaml_parser_initialize(&r->parser))
		return RC_INTERNAL;
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)text,
	    len);
	json = read(r);
	drop(r);
	yaml_parser_delete(&r->parser);
	if (!json) {
		*out_why =
		    r->ret == RC_OK ? "there is no memory for it" : r->why;
		return r->ret == RC_OK ? RC_INTERNAL : r->ret;
	}
	arena_defer(r->arena, delete_json, json);
	*out = json;
	*out_why = NULL;
	return RC_OK;
}

rc
yaml_read(struct arena *a, const char *text, size_t len, struct cJSON **out,
    const char **out_why)
{
	struct reader r = {.arena = a,
	    .ret = RC_OK,
	    .nodes_max = YAML_NODES_MAX};

	*out_why = "it is too large";
	if (len > YAML_BYTES_MAX)
		return RC_TOO_LARGE;
	return read_all(&r, text, len, document, out, out_why);
}

rc
yaml_read_texts(struct arena *a, const char *text, size_t len,
    const struct cJSON **out, const char **out_why)
{
	struct reader r = {.arena = a,
	    .ret = RC_OK,
	    .as_texts = true,
	    .nodes_max = YAML_TEXTS_NODES_MAX};
	struct cJSON *list = NULL;
	rc ret;

	*out_why = "it is too large";
	if (len > YAML_TEXTS_BYTES_MAX)
		return RC_TOO_LARGE;
	ret = read_all(&r, text, len, documents, &list, out_why);
	if (ret == RC_OK)
		*out = list;
	return ret;
}
