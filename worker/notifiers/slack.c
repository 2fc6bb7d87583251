/*
 * Slack, by an incoming webhook.
 */
#include "common/json/json.h"
#include "worker/notifiers/notifier.h"

#define LINES_MAX 20

static bool
is_on(const struct notifier_settings *s)
{
	return *s->slack_url != '\0';
}

/* The three characters by which mrkdwn begins links and mentions. */
static const char *
escape(struct arena *a, const char *text)
{
	const char *out;
	struct buf b;

	buf_init(&b, 0);
	for (; *text; text++) {
		if (*text == '&')
			buf_puts(&b, "&amp;");
		else if (*text == '<')
			buf_puts(&b, "&lt;");
		else if (*text == '>')
			buf_puts(&b, "&gt;");
		else
			buf_putc(&b, *text);
	}
	out = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return out;
}

static rc
build(const struct notifier_settings *s, struct arena *a,
    const struct notice *n, struct notifier_call *out, const char **out_why)
{
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "text",
	    arena_printf(a, "*%s*\n%s", escape(a, notice_subject(a, n)),
		escape(a, notice_body(a, n, LINES_MAX))));
	json_w_kv_opt(&w, "channel", s->slack_channel);
	json_w_kv_opt(&w, "username", s->slack_username);
	json_w_close(&w, '}');
	notifier_post(a, out, s->slack_url, &b);
	buf_fini(&b);
	notifier_hide_url(out, s->slack_url);
	return RC_OK;
}

const struct notifier_ops notifier_slack = {
    .channel = "Slack",
    .needs = "CERTCTL_SLACK_WEBHOOK_URL",
    .is_on = is_on,
    .build = build,
};
