/*
 * Slack, by an incoming webhook.
 */
#include "worker/notifiers/notifier.h"

#define LINES_MAX 20

static bool
is_on(const struct notifier_settings *s)
{
	return *s->slack_url != '\0';
}

/* The three characters by which mrkdwn begins links and mentions. */
static void
put_escaped(struct buf *b, char c)
{
	if (c == '&')
		buf_puts(b, "&amp;");
	else if (c == '<')
		buf_puts(b, "&lt;");
	else if (c == '>')
		buf_puts(b, "&gt;");
	else
		buf_putc(b, c);
}

static const char *
escape(struct arena *a, const char *text)
{
	return notifier_escape(a, text, put_escaped);
}

static rc
build(const struct notifier_settings *s, struct arena *a,
    const struct notice *n, struct notifier_call *out, const char **out_why)
{
	struct notifier_json j;
	struct json_w *w = notifier_json_begin(&j);

	json_w_kv(w, "text",
	    arena_printf(a, "*%s*\n%s", escape(a, notice_subject(a, n)),
		escape(a, notice_body(a, n, LINES_MAX))));
	json_w_kv_opt(w, "channel", s->slack_channel);
	json_w_kv_opt(w, "username", s->slack_username);
	notifier_json_post(&j, a, out, s->slack_url);
	notifier_hide_url(out, s->slack_url);
	return RC_OK;
}

const struct notifier_ops notifier_slack = {
    .channel = "Slack",
    .needs = "CERTCTL_SLACK_WEBHOOK_URL",
    .is_on = is_on,
    .build = build,
};
