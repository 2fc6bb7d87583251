#include "cli/import/yaml_tree.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include <cjson/cJSON.h>

struct level {
	cJSON *node; /* an object or an array */
	const char
	    *key; /* of the member whose value comes; NULL: a key comes */
	size_t keys;
};

/* Of one mapping; each is compared with those before it. */
enum { KEYS_MAX = 2000 };

struct tree {
	struct arena *a;
	struct level levels[YAML_TREE_DEPTH + 1]; /* 0: the documents */
	size_t depth, nodes;
	const char *why; /* it is refused, or NULL */
	bool is_too_large;
};

static void
drop(void *node)
{
	cJSON_Delete(node);
}

static void
refuse(struct tree *t, const yaml_event_t *e, const char *what)
{
	t->why =
	    arena_printf(t->a, "line %zu: %s", e->start_mark.line + 1, what);
}

/* The node goes where the tree stands; it is the tree's then, or gone. */
static void
put(struct tree *t, const yaml_event_t *e, cJSON *node)
{
	struct level *l = &t->levels[t->depth];
	bool is_put;

	if (++t->nodes > YAML_TREE_NODES || !node) {
		t->is_too_large = true;
		refuse(t, e, "more than is taken");
		cJSON_Delete(node);
		return;
	}
	if (cJSON_IsArray(l->node)) {
		is_put = cJSON_AddItemToArray(l->node, node);
	} else if (!l->key) {
		refuse(t, e, "a key must be a plain word");
		cJSON_Delete(node);
		return;
	} else {
		is_put = cJSON_AddItemToObject(l->node, l->key, node);
		l->key = NULL;
	}
	if (!is_put) {
		cJSON_Delete(node);
		refuse(t, e, "no memory");
	}
}

static void
open_level(struct tree *t, const yaml_event_t *e, cJSON *node)
{
	put(t, e, node);
	if (t->why)
		return;
	if (t->depth == YAML_TREE_DEPTH) {
		t->is_too_large = true;
		refuse(t, e, "nested too deep");
		return;
	}
	t->levels[++t->depth] = (struct level){.node = node};
}

static void
take_scalar(struct tree *t, const yaml_event_t *e)
{
	struct level *l = &t->levels[t->depth];
	const char *text = (const char *)e->data.scalar.value;

	if (strlen(text) != e->data.scalar.length) {
		refuse(t, e, "a text holds NUL");
		return;
	}
	if (!cJSON_IsObject(l->node) || l->key) {
		put(t, e, cJSON_CreateString(text));
		return;
	}
	if (++l->keys > KEYS_MAX) {
		t->is_too_large = true;
		refuse(t, e, "more keys than are taken");
		return;
	}
	if (cJSON_GetObjectItemCaseSensitive(l->node, text)) {
		refuse(t, e, "the same key twice");
		return;
	}
	l->key = arena_strdup(t->a, text);
}

static void
take(struct tree *t, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		refuse(t, e, "aliases (*name) are not read");
		break;
	case YAML_SCALAR_EVENT:
		take_scalar(t, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		open_level(t, e, cJSON_CreateArray());
		break;
	case YAML_MAPPING_START_EVENT:
		open_level(t, e, cJSON_CreateObject());
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		t->depth--;
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
}

static void
run(struct tree *t, yaml_parser_t *parser)
{
	bool is_end = false;
	yaml_event_t e;

	while (!is_end && !t->why) {
		if (!yaml_parser_parse(parser, &e)) {
			t->why = arena_printf(t->a, "line %zu: %s",
			    parser->problem_mark.line + 1,
			    parser->problem ? parser->problem : "no YAML");
			return;
		}
		is_end = e.type == YAML_STREAM_END_EVENT;
		take(t, &e);
		yaml_event_delete(&e);
	}
}

rc
yaml_tree_read(struct arena *a, const char *text, size_t len,
    const struct cJSON **out, const char **out_why)
{
	struct tree t = {.a = a};
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser)) {
		*out_why = "no memory";
		return RC_TOO_LARGE;
	}
	t.levels[0].node = cJSON_CreateArray();
	if (t.levels[0].node)
		arena_defer(a, drop, t.levels[0].node);
	else
		t.why = "no memory";
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	run(&t, &parser);
	yaml_parser_delete(&parser);
	*out_why = t.why;
	if (t.why)
		return t.is_too_large ? RC_TOO_LARGE : RC_INVALID;
	*out = t.levels[0].node;
	return RC_OK;
}
