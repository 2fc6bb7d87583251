#include "apiserver/resources/field.h"

#include <assert.h>
#include <string.h>

#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/secretkey.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/buf.h"

/* Names are plain words, so they need no escaping. */
static void
key_make(struct field_rows *fr, size_t i, const char *name)
{
	size_t len = strlen(name);
	char *key = fr->keys[i];

	assert(len <= FIELD_NAME_MAX);
	key[0] = ',';
	key[1] = '"';
	memcpy(key + 2, name, len);
	memcpy(key + 2 + len, "\":", 3);
	fr->key_lens[i] = len + 4;
}

/* What json_w_key does, in one piece: keys are a third of every page. */
static void
put_key(const struct field_rows *fr, struct json_w *w, size_t i)
{
	size_t skip = w->comma ? 0 : 1;

	buf_add(w->b, fr->keys[i] + skip, fr->key_lens[i] - skip);
	w->comma = false;
}

void
field_rows_init(struct field_rows *fr, const struct db_result *result,
    const struct field *fields, size_t n, const char *only)
{
	assert(n <= FIELD_MAX);
	fr->result = result;
	fr->n = 0;
	for (size_t i = 0; i < n; i++) {
		if ((fields[i].flags & FIELD_WRITE_ONLY) != 0)
			continue;
		if (only != NULL && !fieldtext_names(only, fields[i].name))
			continue;
		fr->fields[fr->n] = &fields[i];
		key_make(fr, fr->n, fields[i].name);
		fr->cols[fr->n++] =
		    db_col(result, fields[i].column != NULL ? fields[i].column
							    : fields[i].name);
	}
}

/*
 * JSON as PostgreSQL writes it, with the escapes the contract asks for.
 * These characters can stand inside strings only, so bytes are enough.
 */
static void
put_json(struct arena *a, struct json_w *w, const char *text)
{
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 0);
	if (strpbrk(text, "<>&\xE2") == NULL) {
		json_w_raw(w, text);
		return;
	}
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '<' || *p == '>' || *p == '&') {
			buf_printf(&b, "\\u%04x", (unsigned)*p);
		} else if (strncmp(p, "\xE2\x80\xA8", 3) == 0 ||
			   strncmp(p, "\xE2\x80\xA9", 3) == 0) {
			buf_puts(&b, (unsigned char)p[2] == 0xA8 ? "\\u2028"
								 : "\\u2029");
			p += 2;
		} else {
			buf_putc(&b, *p);
		}
	}
	json_w_raw(w, arena_strdup(a, buf_cstr(&b)));
}

static void
put_config(struct arena *a, struct json_w *w, const char *text)
{
	const struct cJSON *config;
	const char *why;
	rc ret;

	ret = json_parse(a, text, strlen(text), &config, &why);
	if (ret != RC_OK)
		/* An operator's SQL can store what we would refuse; nothing
		 * of it is shown then. */
		json_w_raw(w, "{}");
	else
		secretkey_put_masked(a, w, config);
}

static const char *
empty_json(enum field_type type)
{
	return type == FIELD_TEXTS || type == FIELD_INTS ||
		       type == FIELD_OBJECTS
		   ? "[]"
		   : "{}";
}

static void
put_value(struct arena *a, struct json_w *w, enum field_type type,
    const char *text, bool is_null)
{
	switch (type) {
	case FIELD_TEXT:
		json_w_str(w, text);
		break;
	case FIELD_INT:
	case FIELD_NUMBER:
		json_w_raw(w, is_null ? "0" : text);
		break;
	case FIELD_BOOL:
		json_w_bool(w, text[0] == 't');
		break;
	case FIELD_TIME:
		wiretime_put(w, text);
		break;
	case FIELD_CONFIG:
		put_config(a, w, is_null ? "{}" : text);
		break;
	default:
		put_json(a, w, is_null ? empty_json(type) : text);
		break;
	}
}

void
field_rows_put_members(const struct field_rows *fr, struct arena *a,
    struct json_w *w, size_t row)
{
	for (size_t i = 0; i < fr->n; i++) {
		const struct field *f = fr->fields[i];
		const char *text = db_text(fr->result, row, fr->cols[i]);

		if (f->say != NULL && text[0] != '\0')
			text = f->say(a, text);
		if ((f->flags & FIELD_OMIT_EMPTY) != 0 && text[0] == '\0')
			continue;
		put_key(fr, w, i);
		put_value(a, w, f->type, text,
		    db_is_null(fr->result, row, fr->cols[i]));
	}
}

void
field_rows_put(const struct field_rows *fr, struct arena *a, struct json_w *w,
    size_t row)
{
	json_w_open(w, '{');
	field_rows_put_members(fr, a, w, row);
	json_w_close(w, '}');
}

void
field_rows_put_all(const struct field_rows *fr, struct arena *a,
    struct json_w *w, size_t n)
{
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++)
		field_rows_put(fr, a, w, i);
	json_w_close(w, ']');
}
