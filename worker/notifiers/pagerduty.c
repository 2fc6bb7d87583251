/*
 * PagerDuty, Events API v2.  The key by which it takes two events for one is
 * the matter's: sent twice, an event is one incident.
 */
#include "worker/notifiers/notifier.h"

#define LINES_MAX 100
#define SUMMARY_MAX 1024

static bool
is_on(const struct notifier_settings *s)
{
	return *s->pagerduty_key != '\0';
}

static const char *
summary(struct arena *a, const struct notice *n)
{
	const char *subject = notice_subject(a, n);

	if (n->n != 1)
		return subject;
	return notice_line(a, arena_printf(a, "%s: %s", subject, n->lines[0]),
	    SUMMARY_MAX);
}

static rc
build(const struct notifier_settings *s, struct arena *a,
    const struct notice *n, struct notifier_call *out, const char **out_why)
{
	struct notifier_json j;
	struct json_w *w = notifier_json_begin(&j);

	json_w_kv(w, "routing_key", s->pagerduty_key);
	json_w_kv(w, "event_action", "trigger");
	json_w_kv(w, "dedup_key", notice_key(a, n));
	json_w_key(w, "payload");
	json_w_open(w, '{');
	json_w_kv(w, "summary", summary(a, n));
	json_w_kv(w, "severity", s->pagerduty_severity);
	json_w_kv(w, "source", "certctl");
	json_w_key(w, "custom_details");
	json_w_open(w, '{');
	json_w_kv(w, "body", notice_body(a, n, LINES_MAX));
	json_w_kv(w, "recipient", notice_line(a, n->recipient, 255));
	json_w_kv(w, "severity", n->severity);
	json_w_kv(w, "message_id", n->id);
	json_w_close(w, '}');
	json_w_close(w, '}');
	notifier_json_post(&j, a, out, s->pagerduty_url);
	out->secrets[0] = s->pagerduty_key;
	return RC_OK;
}

const struct notifier_ops notifier_pagerduty = {
    .channel = "PagerDuty",
    .needs = "CERTCTL_PAGERDUTY_ROUTING_KEY",
    .is_on = is_on,
    .build = build,
};
