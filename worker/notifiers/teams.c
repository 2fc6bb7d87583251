/*
 * Microsoft Teams: an Adaptive Card to a workflow's URL, or a MessageCard to
 * one of the retired connectors.
 */
#include <string.h>

#include "worker/notifiers/notifier.h"

#define LINES_MAX 20

static bool
is_on(const struct notifier_settings *s)
{
	return *s->teams_url != '\0';
}

/* A run of text shows what it holds: unlike a TextBlock it knows no
 * Markdown, and so no links. */
static void
put_block(struct json_w *w, const char *text, bool is_title)
{
	json_w_open(w, '{');
	json_w_kv(w, "type", "RichTextBlock");
	json_w_key(w, "inlines");
	json_w_open(w, '[');
	json_w_open(w, '{');
	json_w_kv(w, "type", "TextRun");
	json_w_kv(w, "text", text);
	if (is_title)
		json_w_kv(w, "weight", "Bolder");
	json_w_close(w, '}');
	json_w_close(w, ']');
	json_w_close(w, '}');
}

static void
put_adaptive(struct json_w *w, struct arena *a, const struct notice *n)
{
	const char *rest = notice_rest(a, n, LINES_MAX);

	json_w_kv(w, "type", "message");
	json_w_key(w, "attachments");
	json_w_open(w, '[');
	json_w_open(w, '{');
	json_w_kv(w, "contentType", "application/vnd.microsoft.card.adaptive");
	json_w_key(w, "content");
	json_w_open(w, '{');
	json_w_kv(w, "$schema",
	    "http://adaptivecards.io/schemas/adaptive-card.json");
	json_w_kv(w, "type", "AdaptiveCard");
	json_w_kv(w, "version", "1.2");
	json_w_key(w, "body");
	json_w_open(w, '[');
	put_block(w, notice_subject(a, n), true);
	for (size_t i = 0; i < n->n && i < LINES_MAX; i++)
		put_block(w, notice_line(a, n->lines[i], 500), false);
	if (*rest)
		put_block(w, rest, false);
	json_w_close(w, ']');
	json_w_close(w, '}');
	json_w_close(w, '}');
	json_w_close(w, ']');
}

/* A card's text is Markdown, and HTML in it. */
static void
put_escaped(struct buf *b, char c)
{
	if (c == '<')
		buf_puts(b, "&lt;");
	else if (c == '&')
		buf_puts(b, "&amp;");
	else if (c == '\n')
		buf_puts(b, "  \n");
	else if (strchr("\\`*_[]()#!~|>", c))
		buf_printf(b, "\\%c", c);
	else
		buf_putc(b, c);
}

static const char *
escape(struct arena *a, const char *text)
{
	return notifier_escape(a, text, put_escaped);
}

static void
put_card(struct json_w *w, struct arena *a, const struct notice *n)
{
	const char *subject = notice_subject(a, n);

	json_w_kv(w, "@type", "MessageCard");
	json_w_kv(w, "@context", "https://schema.org/extensions");
	json_w_kv(w, "themeColor", "0076D7");
	json_w_kv(w, "summary", subject);
	json_w_key(w, "sections");
	json_w_open(w, '[');
	json_w_open(w, '{');
	json_w_kv(w, "activityTitle", escape(a, subject));
	json_w_kv(w, "text", escape(a, notice_body(a, n, LINES_MAX)));
	json_w_kv_bool(w, "markdown", true);
	json_w_close(w, '}');
	json_w_close(w, ']');
}

static rc
build(const struct notifier_settings *s, struct arena *a,
    const struct notice *n, struct notifier_call *out, const char **out_why)
{
	struct notifier_json j;
	struct json_w *w = notifier_json_begin(&j);

	if (s->teams_is_card)
		put_card(w, a, n);
	else
		put_adaptive(w, a, n);
	notifier_json_post(&j, a, out, s->teams_url);
	notifier_hide_url(out, s->teams_url);
	return RC_OK;
}

const struct notifier_ops notifier_teams = {
    .channel = "Teams",
    .needs = "CERTCTL_TEAMS_WEBHOOK_URL",
    .is_on = is_on,
    .build = build,
};
