/*
 * render_yaml: JSON as YAML that every reader takes for the same, and that a
 * terminal may see.
 *
 * A text stands without quotes only when no reader of YAML 1.1 or 1.2 takes it
 * for anything else; one of several harmless lines stands as lines (PEM); any
 * other is in double quotes, where out_yaml shows what is harmful.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>
#include <yaml.h>

#include "cli/out.h"
#include "cli/render_view.h"
#include "common/base/buf.h"
#include "common/json/json.h"

static const char letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char within[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";

static bool
is_word_of_yaml(const char *text)
{
	static const char *const all[] = {"y", "n", "yes", "no", "on", "off",
	    "true", "false", "null"};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcasecmp(text, all[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_plain(const char *text)
{
	return text[0] != '\0' && strchr(letters, text[0]) &&
	       text[strspn(text, within)] == '\0' && !is_word_of_yaml(text);
}

/* Of ASCII that shows, no line with blanks at its end or the first with some
 * at its beginning. */
static bool
is_lines(const char *text)
{
	size_t len = strlen(text);

	if (len < 2 || text[len - 1] != '\n' || text[0] == ' ' ||
	    text[0] == '\n' || !memchr(text, '\n', len - 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
			return false;
		if (text[i] == '\n' && text[i - 1] == ' ')
			return false;
	}
	return true;
}

/* An event that there is no memory for ends the program, as any of ours. */
static void
emit(yaml_emitter_t *e, yaml_event_t *event, int is_made)
{
	if (!is_made || !yaml_emitter_emit(e, event))
		abort();
}

static void
emit_scalar(yaml_emitter_t *e, const char *text, yaml_scalar_style_t style)
{
	yaml_event_t event;
	int is_made = yaml_scalar_event_initialize(&event, NULL, NULL,
	    (const yaml_char_t *)text, (int)strlen(text),
	    style == YAML_PLAIN_SCALAR_STYLE, style != YAML_PLAIN_SCALAR_STYLE,
	    style);

	emit(e, &event, is_made);
}

static void
emit_text(yaml_emitter_t *e, const char *text)
{
	emit_scalar(e, text,
	    is_plain(text)   ? YAML_PLAIN_SCALAR_STYLE
	    : is_lines(text) ? YAML_LITERAL_SCALAR_STYLE
			     : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* A key is one line, whatever it holds. */
static void
emit_key(yaml_emitter_t *e, const char *key)
{
	emit_scalar(e, key,
	    is_plain(key) ? YAML_PLAIN_SCALAR_STYLE
			  : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* As deep as json_parse allows. */
static void
emit_value(struct cli *c, yaml_emitter_t *e, const struct cJSON *v)
{
	const struct cJSON *item;
	yaml_event_t event;

	if (cJSON_IsString(v)) {
		emit_text(e, v->valuestring);
	} else if (cJSON_IsArray(v)) {
		emit(e, &event,
		    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
			YAML_BLOCK_SEQUENCE_STYLE));
		cJSON_ArrayForEach(item, v) emit_value(c, e, item);
		emit(e, &event, yaml_sequence_end_event_initialize(&event));
	} else if (cJSON_IsObject(v)) {
		emit(e, &event,
		    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
			YAML_BLOCK_MAPPING_STYLE));
		cJSON_ArrayForEach(item, v)
		{
			emit_key(e, item->string);
			emit_value(c, e, item);
		}
		emit(e, &event, yaml_mapping_end_event_initialize(&event));
	} else {
		emit_scalar(e, json_text(c->arena, v), YAML_PLAIN_SCALAR_STYLE);
	}
}

static int
write_to_buf(void *arg, unsigned char *bytes, size_t n)
{
	struct buf *b = arg;

	buf_add(b, bytes, n);
	return buf_ok(b);
}

void
render_yaml(struct cli *c, const struct cJSON *json)
{
	yaml_emitter_t e;
	yaml_event_t event;
	struct buf b;

	buf_init(&b, (size_t)512 * 1024 * 1024); /* of 64 MiB of JSON */
	if (!yaml_emitter_initialize(&e))
		abort();
	yaml_emitter_set_output(&e, write_to_buf, &b);
	yaml_emitter_set_encoding(&e, YAML_UTF8_ENCODING);
	yaml_emitter_set_unicode(&e, 1);
	yaml_emitter_set_width(&e, -1);
	emit(&e, &event,
	    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	/* Of several answers each begins with ---. */
	emit(&e, &event,
	    yaml_document_start_event_initialize(&event, NULL, NULL, NULL,
		c->nrendered == 0));
	emit_value(c, &e, json);
	emit(&e, &event, yaml_document_end_event_initialize(&event, 1));
	emit(&e, &event, yaml_stream_end_event_initialize(&event));
	yaml_emitter_delete(&e);
	out_yaml(buf_cstr(&b));
	buf_fini(&b);
}
