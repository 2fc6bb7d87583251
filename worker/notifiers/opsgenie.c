/*
 * OpsGenie, Alerts API v2.  An open alert with the same alias counts up
 * instead of being another.
 */
#include "worker/notifiers/notifier.h"

#define LINES_MAX 25
#define MESSAGE_MAX 130

static bool
is_on(const struct notifier_settings *s)
{
	return *s->opsgenie_key != '\0';
}

static rc
build(const struct notifier_settings *s, struct arena *a,
    const struct notice *n, struct notifier_call *out, const char **out_why)
{
	const char *subject = notice_subject(a, n);
	struct notifier_json j;
	struct json_w *w = notifier_json_begin(&j);

	if (n->n == 1)
		subject = arena_printf(a, "%s: %s", subject, n->lines[0]);
	json_w_kv(w, "message", notice_line(a, subject, MESSAGE_MAX));
	json_w_kv(w, "alias", notice_key(a, n));
	json_w_kv(w, "description", notice_body(a, n, LINES_MAX));
	json_w_kv(w, "priority", s->opsgenie_priority);
	json_w_kv(w, "source", "certctl");
	json_w_key(w, "tags");
	json_w_open(w, '[');
	json_w_str(w, "certctl");
	json_w_str(w, n->type);
	json_w_str(w, n->severity);
	json_w_close(w, ']');
	json_w_key(w, "details");
	json_w_open(w, '{');
	json_w_kv(w, "recipient", notice_line(a, n->recipient, 255));
	json_w_kv(w, "message_id", n->id);
	json_w_close(w, '}');
	notifier_json_post(&j, a, out, s->opsgenie_url);
	out->headers[0] = (struct http_header){"Authorization",
	    arena_printf(a, "GenieKey %s", s->opsgenie_key)};
	out->secrets[0] = s->opsgenie_key;
	return RC_OK;
}

const struct notifier_ops notifier_opsgenie = {
    .channel = "OpsGenie",
    .needs = "CERTCTL_OPSGENIE_API_KEY",
    .is_on = is_on,
    .build = build,
};
