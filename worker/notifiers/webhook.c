/*
 * A receiver of the operator's own: JSON, signed where there is a secret.
 *
 * X-Signature covers the body.  X-Certctl-Signature covers the time of
 * sending too, so that a receiver can refuse what somebody kept and sends
 * again; event_id tells it what it has had already.
 */
#include <inttypes.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/enc.h"
#include "common/log/log.h"
#include "worker/notifiers/notifier.h"

#define LINES_MAX 100
#define TIMEOUT_MS 30000
#define DIGEST_BYTES 32

static bool
is_on(const struct notifier_settings *s)
{
	return *s->webhook_url != '\0';
}

static const char *
hmac_hex(struct arena *a, const char *secret, const char *text, size_t len)
{
	uint8_t mac[DIGEST_BYTES];
	char hex[2 * DIGEST_BYTES + 1];

	if (!HMAC(EVP_sha256(), secret, (int)strlen(secret),
		(const unsigned char *)text, len, mac, NULL))
		log_fatal("NOTIFY-HMAC", "OpenSSL makes no HMAC");
	enc_hex(mac, sizeof(mac), hex);
	return arena_strdup(a, hex);
}

static void
sign(struct arena *a, struct notifier_call *c, const struct notice *n,
    const char *secret)
{
	const char *at = arena_printf(a, "%" PRId64, n->now_unix);
	const char *body = c->http.body;
	const char *timed = arena_printf(a, "%s.%s", at, body);
	struct http_header *h = c->headers;

	*h++ = (struct http_header){"X-Signature",
	    arena_printf(a, "sha256=%s",
		hmac_hex(a, secret, body, c->http.body_len))};
	*h++ = (struct http_header){"X-Signature-Algorithm", "sha256"};
	*h++ = (struct http_header){"X-Certctl-Timestamp", at};
	*h = (struct http_header){"X-Certctl-Signature",
	    arena_printf(a, "v1=%s",
		hmac_hex(a, secret, timed, strlen(timed)))};
}

static rc
build(const struct notifier_settings *s, struct arena *a,
    const struct notice *n, struct notifier_call *out, const char **out_why)
{
	struct notifier_json j;
	struct json_w *w = notifier_json_begin(&j);

	json_w_kv(w, "type", "event");
	json_w_kv(w, "event_id", n->id);
	json_w_kv(w, "event_type", "notification");
	json_w_kv(w, "subject", n->type);
	json_w_kv(w, "body", notice_body(a, n, LINES_MAX));
	json_w_kv(w, "recipient", notice_line(a, n->recipient, 255));
	json_w_kv(w, "created_at", n->created_at);
	json_w_kv_opt(w, "certificate_id", n->certificate_id);
	json_w_key(w, "metadata");
	json_w_open(w, '{');
	json_w_kv(w, "severity", n->severity);
	json_w_kv(w, "count", arena_printf(a, "%zu", n->total));
	json_w_close(w, '}');
	notifier_json_post(&j, a, out, s->webhook_url);
	out->http.timeout_ms = TIMEOUT_MS;
	if (*s->webhook_secret) {
		sign(a, out, n, s->webhook_secret);
		out->secrets[0] = s->webhook_secret;
	}
	notifier_hide_url(out, s->webhook_url);
	return RC_OK;
}

const struct notifier_ops notifier_webhook = {
    .channel = "Webhook",
    .needs = "CERTCTL_WEBHOOK_URL",
    .is_on = is_on,
    .build = build,
};
