/*
 * render_csv: RFC 4180, so that no program that reads it does anything but
 * read.
 *
 * A cell of one line (out.h shows what would begin another); a text that a
 * spreadsheet would take for a formula gets an apostrophe before it, which
 * spreadsheets take for "this is text".  Numbers stay what they are.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/out.h"
#include "cli/render_view.h"
#include "common/base/buf.h"
#include "common/json/json.h"

enum { MEMBERS_MAX = 256 };

/* = + - @, and those of East Asian keyboards, behind any blanks. */
static bool
is_formula(const char *text)
{
	static const char *const wide[] = {"\xef\xbc\x9d", "\xef\xbc\x8b",
	    "\xef\xbc\x8d", "\xef\xbc\xa0"};

	text += strspn(text, " ");
	if (text[0] != '\0' && strchr("=+-@", text[0]))
		return true;
	/* A tab or an end of line, which out_harmless has made visible. */
	if (strncmp(text, "\\t", 2) == 0 || strncmp(text, "\\n", 2) == 0 ||
	    strncmp(text, "\\x0d", 4) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
		if (strncmp(text, wide[i], strlen(wide[i])) == 0)
			return true;
	}
	return false;
}

static void
put_cell(struct buf *b, const char *text)
{
	bool is_quoted = strpbrk(text, ",\"") != NULL || text[0] == ' ' ||
			 (text[0] && text[strlen(text) - 1] == ' ');

	if (is_quoted)
		buf_putc(b, '"');
	for (; *text; text++) {
		if (*text == '"')
			buf_putc(b, '"');
		buf_putc(b, *text);
	}
	if (is_quoted)
		buf_putc(b, '"');
}

static void
put_text(struct cli *c, struct buf *b, const char *text)
{
	text = out_harmless(c->arena, text);
	if (is_formula(text))
		text = arena_printf(c->arena, "'%s", text);
	put_cell(b, text);
}

static void
put_value(struct cli *c, struct buf *b, const struct cJSON *value)
{
	if (!value || cJSON_IsNull(value))
		return;
	if (cJSON_IsString(value))
		put_text(c, b, value->valuestring);
	else
		put_cell(b, out_harmless(c->arena, json_text(c->arena, value)));
}

static bool
is_among(const char *const *all, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i], name) == 0)
			return true;
	}
	return false;
}

/* Each member of the columns once; of what has none, each that a row has. */
static size_t
find_members(const struct render_view *v, const char **out)
{
	const struct cJSON *item;
	size_t n = 0;

	if (v->is_known) {
		for (size_t i = 0; i < v->ncols && n < MEMBERS_MAX; i++) {
			if (!is_among(out, n, v->cols[i].member))
				out[n++] = v->cols[i].member;
		}
		return n;
	}
	for (const struct cJSON *row = render_first(v); row;
	     row = render_next(v, row)) {
		cJSON_ArrayForEach(item, row)
		{
			if (item->string && n < MEMBERS_MAX &&
			    !is_among(out, n, item->string))
				out[n++] = item->string;
		}
	}
	return n;
}

static void
end_row(struct buf *b)
{
	buf_puts(b, "\r\n");
}

void
render_csv(struct cli *c, const struct render_view *v)
{
	const char **members =
	    arena_alloc(c->arena, MEMBERS_MAX * sizeof(*members));
	size_t n = find_members(v, members);
	struct buf b;

	buf_init(&b, 0);
	if (c->nrendered == 0 || !v->is_known) {
		for (size_t i = 0; i < n; i++) {
			buf_puts(&b, i > 0 ? "," : "");
			put_text(c, &b, members[i]);
		}
		end_row(&b);
	}
	for (const struct cJSON *row = render_first(v); row;
	     row = render_next(v, row)) {
		for (size_t i = 0; i < n; i++) {
			buf_puts(&b, i > 0 ? "," : "");
			put_value(c, &b, render_member(c, row, members[i]));
		}
		end_row(&b);
		out_csv(buf_cstr(&b));
		buf_reset(&b);
	}
	out_csv(buf_cstr(&b)); /* a head without rows */
	buf_fini(&b);
}
