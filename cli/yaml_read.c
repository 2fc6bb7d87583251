#include "cli/yaml_read.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>
#include <yaml.h>

#include "common/base/enc.h"
#include "common/base/text.h"

/* Past what a double holds the last digits change (RFC 7493); cJSON writes
 * them anew from half of that on. */
#define WHOLE_MAX 4503599627370495.0

struct reader {
	struct arena *arena;
	yaml_parser_t parser;
	yaml_event_t event; /* the last one; ours to delete */
	bool has_event;
	size_t nodes;
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

enum word { WORD_NONE, WORD_NULL, WORD_TRUE, WORD_FALSE, WORD_UNCLEAR };

static bool
is_evenly_spelt(const char *text)
{
	size_t lower = 0, upper = 0;

	for (const char *p = text; *p; p++) {
		lower += *p >= 'a' && *p <= 'z';
		upper += *p >= 'A' && *p <= 'Z';
	}
	return upper == 0 || lower == 0 ||
	       (upper == 1 && text[0] >= 'A' && text[0] <= 'Z');
}

static enum word
word_of(const char *text)
{
	static const struct {
		const char *text;
		enum word word;
	} all[] = {
	    {"", WORD_NULL},
	    {"~", WORD_NULL},
	    {"null", WORD_NULL},
	    {"true", WORD_TRUE},
	    {"false", WORD_FALSE},
	    /* Booleans of YAML 1.1, texts of 1.2 */
	    {"y", WORD_UNCLEAR},
	    {"yes", WORD_UNCLEAR},
	    {"on", WORD_UNCLEAR},
	    {"n", WORD_UNCLEAR},
	    {"no", WORD_UNCLEAR},
	    {"off", WORD_UNCLEAR},
	    /* Numbers that JSON has not */
	    {".inf", WORD_UNCLEAR},
	    {"+.inf", WORD_UNCLEAR},
	    {"-.inf", WORD_UNCLEAR},
	    {".nan", WORD_UNCLEAR},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcasecmp(text, all[i].text) != 0)
			continue;
		/* true, True and TRUE, but not tRUE */
		return is_evenly_spelt(text) ? all[i].word : WORD_UNCLEAR;
	}
	return WORD_NONE;
}

static const char *
skip_digits(const char *p)
{
	while (text_is_digit(*p))
		p++;
	return p;
}

/* A number of JSON (RFC 8259, section 6). */
static bool
is_number(const char *text)
{
	const char *p = text + (*text == '-'), *end;

	end = *p == '0' ? p + 1 : skip_digits(p);
	if (end == p)
		return false;
	if (*end == '.') {
		p = end + 1;
		end = skip_digits(p);
		if (end == p)
			return false;
	}
	if (*end == 'e' || *end == 'E') {
		p = end + 1 + (end[1] == '+' || end[1] == '-');
		end = skip_digits(p);
		if (end == p)
			return false;
	}
	return *end == '\0';
}

/* What some reader of YAML takes for a number and JSON does not: 010, 0x1f,
 * 1_000, +5, .5, 5. and the like. */
static bool
is_odd_number(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');

	if (p[0] == '.' && text_is_digit(p[1]))
		p++;
	if (!text_is_digit(*p))
		return false;
	if (p[0] == '0' && strchr("xXoObB", p[1]) && p[1] != '\0')
		return p[2] != '\0' &&
		       p[2 + strspn(p + 2, "0123456789abcdefABCDEF_")] == '\0';
	p += strspn(p, "0123456789_.");
	if (*p == 'e' || *p == 'E') {
		p += 1 + (p[1] == '+' || p[1] == '-');
		return text_is_digit(*p) && *skip_digits(p) == '\0';
	}
	return *p == '\0';
}

/* 1.2.3.4 and 1.2.3 are numbers to nobody. */
static bool
has_two_dots(const char *text)
{
	const char *dot = strchr(text, '.');

	return dot && strchr(dot + 1, '.');
}

static struct cJSON *
number(struct reader *r, const char *text)
{
	double value = strtod(text, NULL);

	if (!isfinite(value) ||
	    (!strpbrk(text, ".eE") && fabs(value) > WHOLE_MAX)) {
		fail(r, RC_INVALID,
		    "a number is too large to be kept exactly: quote it");
		return NULL;
	}
	return cJSON_CreateNumber(value);
}

static struct cJSON *
plain(struct reader *r, const char *text)
{
	switch (word_of(text)) {
	case WORD_NULL:
		return cJSON_CreateNull();
	case WORD_TRUE:
		return cJSON_CreateTrue();
	case WORD_FALSE:
		return cJSON_CreateFalse();
	case WORD_UNCLEAR:
		fail(r, RC_INVALID,
		    arena_printf(r->arena,
			"\"%s\" means one thing to YAML 1.1 and another to "
			"1.2: write true or false, or quote it",
			text));
		return NULL;
	case WORD_NONE:
	default:
		break;
	}
	if (is_number(text))
		return number(r, text);
	if (is_odd_number(text) && !has_two_dots(text)) {
		fail(r, RC_INVALID,
		    arena_printf(r->arena,
			"\"%.40s\" is a number to some readers only: write it "
			"as JSON does, or quote it",
			text));
		return NULL;
	}
	return cJSON_CreateString(text);
}

/* The scalar that came, checked; NULL after a fault. */
static const char *
scalar_text(struct reader *r)
{
	const char *text = (const char *)r->event.data.scalar.value;

	if (r->event.data.scalar.anchor)
		fail(r, RC_INVALID, "an anchor is not taken");
	else if (r->event.data.scalar.tag)
		fail(r, RC_INVALID, "a tag is not taken");
	else if (strlen(text) != r->event.data.scalar.length)
		fail(r, RC_INVALID, "a text holds a NUL");
	else
		return text;
	return NULL;
}

static struct cJSON *
scalar(struct reader *r)
{
	const char *text = scalar_text(r);

	if (!text)
		return NULL;
	if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return plain(r, text);
	return cJSON_CreateString(text);
}

/* --- lists and mappings --- */

static struct cJSON *value(struct reader *r, int depth);

static struct cJSON *
sequence(struct reader *r, int depth)
{
	struct cJSON *list, *item;

	if (r->event.data.sequence_start.anchor)
		fail(r, RC_INVALID, "an anchor is not taken");
	else if (r->event.data.sequence_start.tag)
		fail(r, RC_INVALID, "a tag is not taken");
	if (r->ret != RC_OK)
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

	if (++r->nodes > YAML_NODES_MAX) {
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
	/* The server finds members whatever their case. */
	if (cJSON_GetObjectItem(object, key)) {
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
	const char *key;

	if (r->event.data.mapping_start.anchor)
		fail(r, RC_INVALID, "an anchor is not taken");
	else if (r->event.data.mapping_start.tag)
		fail(r, RC_INVALID, "a tag is not taken");
	if (r->ret != RC_OK)
		return NULL;
	object = cJSON_CreateObject();
	while (next(r) && r->event.type != YAML_MAPPING_END_EVENT) {
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
	if (++r->nodes > YAML_NODES_MAX) {
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

static void
delete_json(void *arg)
{
	cJSON_Delete(arg);
}

rc
yaml_read(struct arena *a, const char *text, size_t len, struct cJSON **out,
    const char **out_why)
{
	struct reader r = {.arena = a, .ret = RC_OK};
	struct cJSON *json;

	*out_why = "it is too large";
	if (len > YAML_BYTES_MAX)
		return RC_TOO_LARGE;
	*out_why = "it is no UTF-8";
	if (!enc_is_utf8(text, len))
		return RC_INVALID;
	*out_why = "there is no memory for it";
	if (!yaml_parser_initialize(&r.parser))
		return RC_INTERNAL;
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text,
	    len);
	json = document(&r);
	drop(&r);
	yaml_parser_delete(&r.parser);
	if (!json) {
		*out_why = r.ret == RC_OK ? "there is no memory for it" : r.why;
		return r.ret == RC_OK ? RC_INTERNAL : r.ret;
	}
	arena_defer(a, delete_json, json);
	*out = json;
	*out_why = NULL;
	return RC_OK;
}
