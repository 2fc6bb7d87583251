/*
 * What messages say, of names that want to be more than names: lines, subjects,
 * mail, and what each channel makes of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "worker/notifiers/mime.h"
#include "worker/notifiers/notifier.h"

#define HOSTILE \
	"x\r\nBcc: evil@example.com\r\n\r\n<script>alert(1)</script>" \
	"<!channel> [a](https://evil) \xe2\x80\xae\x1b[31m\"\\ {{"

/* By Python's hmac. */
#define SIGNATURE \
	"6839ecacd3f9b95897784cf18ec94f9a73475f8790fff35b913942afbdc9e5fd"
#define TIMED_SIGNATURE \
	"8d6d65dd0e491676dbf028f30a4e499d75f479beb65f2e729734938a614d335e"

static struct arena *arena;

static const struct notifier_settings settings = {
    .smtp_host = "mail.example",
    .smtp_port = 587,
    .smtp_tls = true,
    .smtp_user = "user",
    .smtp_password = "smtp-password",
    .smtp_from = "certctl@example.com",
    .slack_url = "https://hooks.example/slack-token",
    .slack_channel = "",
    .slack_username = "certctl",
    .teams_url = "https://teams.example/token",
    .pagerduty_key = "routing-key",
    .pagerduty_severity = "warning",
    .pagerduty_url = "https://pagerduty.example/v2/enqueue",
    .opsgenie_key = "genie-key",
    .opsgenie_priority = "P3",
    .opsgenie_url = "https://opsgenie.example/v2/alerts",
    .webhook_url = "https://receiver.example/hook",
    .webhook_secret = "webhook-secret",
};

static struct notice
notice_of(const char *const *lines, size_t n, size_t total)
{
	return (struct notice){
	    .id = "task-1000-1",
	    .type = "ExpirationWarning",
	    .severity = "critical",
	    .recipient = "owner@example.com",
	    .created_at = "2026-01-02T03:04:05.000Z",
	    .certificate_id = total == 1 ? "mc-1" : "",
	    .now_unix = 1767323045,
	    .total = total,
	    .lines = lines,
	    .n = n,
	};
}

/* Built; its JSON is read back strictly. */
static const struct cJSON *
built(const struct notifier_ops *ops, const struct notifier_settings *s,
    const struct notice *n, struct notifier_call *c)
{
	const struct cJSON *json;
	const char *why = "";

	*c = (struct notifier_call){0};
	CHECK_INT(ops->build(s, arena, n, c, &why), RC_OK);
	if (c->is_mail)
		return NULL;
	CHECK_STR(c->http.method, "POST");
	CHECK_INT(json_parse(arena, c->http.body, c->http.body_len, &json,
		      &why),
	    RC_OK);
	return json;
}

static const char *
text(const struct cJSON *json, const char *name)
{
	const char *value = NULL;

	CHECK_INT(json_str(json, name, 100000, &value), RC_OK);
	return value;
}

static const char *
header(const struct notifier_call *c, const char *name)
{
	for (const struct http_header *h = c->headers; h->name; h++)
		if (strcmp(h->name, name) == 0)
			return h->value;
	return NULL;
}

static void
test_lines(void)
{
	arena = arena_new();
	CHECK_STR(notice_line(arena, "plain", 100), "plain");
	CHECK_STR(notice_line(arena, "", 100), "");
	CHECK_STR(notice_line(arena, "a\r\nb\tc", 100), "a  b c");
	CHECK_STR(notice_line(arena,
		      "a\x01\x1b[0m\x7f"
		      "b",
		      100),
	    "a[0mb");
	CHECK_STR(notice_line(arena, "\xe2\x80\xaegnp", 100), "gnp");
	CHECK_STR(notice_line(arena, "z\xe2\x80\x8bw", 100), "zw");
	CHECK_STR(notice_line(arena, "bad\xff\xc3", 100), "bad??");
	CHECK_STR(notice_line(arena, "\xc3\xa4\xc3\xb6\xc3\xbc", 100),
	    "\xc3\xa4\xc3\xb6\xc3\xbc");
	CHECK_STR(notice_line(arena, "1234567890", 10), "1234567890");
	CHECK_STR(notice_line(arena, "1234567890x", 10), "1234567...");
	CHECK_STR(notice_line(arena, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
		      4),
	    "\xc3\xa4...");
	arena_free(arena);
}

static void
test_bodies(void)
{
	const char *lines[] = {"one", "two\nlines", "three"};
	struct notice n = notice_of(lines, 3, 1000);

	arena = arena_new();
	CHECK_STR(notice_subject(arena, &n),
	    "ExpirationWarning: 1000 notifications");
	CHECK_STR(notice_body(arena, &n, 2),
	    "one\ntwo lines\nand 998 more, as certctl notifications list "
	    "shows");
	CHECK_STR(notice_key(arena, &n), "task-1000-1");
	n = notice_of(lines, 1, 1);
	CHECK_STR(notice_subject(arena, &n), "ExpirationWarning");
	CHECK_STR(notice_body(arena, &n, 2), "one");
	CHECK_STR(notice_rest(arena, &n, 2), "");
	CHECK_STR(notice_key(arena, &n), "ExpirationWarning:mc-1");
	arena_free(arena);
}

/* The value of a header, folded lines joined; "" when it is not there. */
static const char *
mail_header(const char *mail, const char *name)
{
	char *all = arena_strndup(arena, mail,
	    (size_t)(strstr(mail, "\r\n\r\n") - mail) + 2);
	const char *found = "";
	char *line, *end;

	for (line = all; *line; line = end + 2) {
		for (end = strstr(line, "\r\n");
		     end[2] == ' ' || end[2] == '\t';
		     end = strstr(end + 2, "\r\n"))
			continue;
		*end = '\0';
		if (strncmp(line, name, strlen(name)) == 0 &&
		    line[strlen(name)] == ':') {
			CHECK_STR(found, "");
			found = line + strlen(name) + 2;
		}
	}
	return found;
}

static size_t
count(const char *in, const char *what)
{
	size_t n = 0;

	for (in = strstr(in, what); in; in = strstr(in + 1, what))
		n++;
	return n;
}

/* The n-th part, decoded. */
static const char *
part(const char *mail, int n)
{
	uint8_t *bytes;
	const char *end;
	size_t len;

	for (int i = 0; i < n; i++)
		mail = strstr(mail, "base64\r\n\r\n") + 10;
	end = strstr(mail, "\r\n--");
	CHECK(end);
	CHECK_INT(enc_unbase64_lines(arena, mail, (size_t)(end - mail), &bytes,
		      &len),
	    RC_OK);
	return arena_strndup(arena, (const char *)bytes, len);
}

static void
test_mail(void)
{
	const char *lines[] = {HOSTILE};
	struct notice n = notice_of(lines, 1, 1);
	struct notifier_call c;
	const char *mail;

	arena = arena_new();
	n.certificate_id = HOSTILE;
	(void)built(&notifier_email, &settings, &n, &c);
	CHECK(c.is_mail);
	CHECK_STR(c.mail.from, "certctl@example.com");
	CHECK_STR(c.mail.to, "owner@example.com");
	CHECK_INT(c.mail.tls, MAIL_TLS_STARTTLS);
	CHECK_STR(c.secrets[0], "smtp-password");
	mail = c.mail.message;
	CHECK_INT(strlen(mail), c.mail.len);
	CHECK_INT(count(mail, "\n"), count(mail, "\r\n"));
	CHECK_STR(mail_header(mail, "Bcc"), "");
	CHECK_STR(mail_header(mail, "From"), "certctl <certctl@example.com>");
	CHECK_STR(mail_header(mail, "To"), "<owner@example.com>");
	CHECK_STR(mail_header(mail, "Message-ID"), "<task-1000-1@example.com>");
	CHECK_STR(mail_header(mail, "Date"), "Fri, 2 Jan 2026 03:04:05 +0000");
	CHECK_STR(mail_header(mail, "Auto-Submitted"), "auto-generated");
	CHECK(strstr(mail_header(mail, "Subject"), "[certctl] Expiration"));
	CHECK_INT(count(part(mail, 1), "\n"), 1);
	CHECK(strstr(part(mail, 1), "<script>"));
	CHECK(!strstr(part(mail, 1), "\x1b"));
	CHECK(strstr(part(mail, 2), "&lt;script&gt;alert(1)&lt;/script&gt;"));
	CHECK(!strstr(part(mail, 2), "<script"));
	CHECK(strstr(part(mail, 2), "&quot;"));
	arena_free(arena);
}

static void
test_mail_subjects(void)
{
	struct mime_mail m = {
	    .from = "a@b",
	    .to = "c@d",
	    .id = "task-1-1",
	    .text = "t",
	    .html = "h",
	};
	char umlauts[401] = "";
	const char *subject, *p;
	size_t len;

	arena = arena_new();
	m.subject = "=?UTF-8?B?QmNjOiBl?=";
	subject = mail_header(mime_write(arena, &m, &len), "Subject");
	CHECK_STR(subject, "=?UTF-8?B?PT9VVEYtOD9CP1FtTmpPaUJsPz0=?=");
	for (size_t i = 0; i < 200; i++)
		memcpy(umlauts + 2 * i, "\xc3\xa4", 3);
	m.subject = umlauts;
	subject = mail_header(mime_write(arena, &m, &len), "Subject");
	CHECK(strlen(subject) > 400);
	for (p = subject; p;
	     p = strstr(p, "\r\n ") ? strstr(p, "\r\n ") + 3 : NULL) {
		uint8_t *bytes;
		size_t word = strcspn(p, "\r"), got;

		CHECK(word <= 75);
		CHECK_INT(strncmp(p, "=?UTF-8?B?", 10), 0);
		CHECK_INT(enc_unbase64(arena, p + 10, word - 12, &bytes, &got),
		    RC_OK);
		CHECK(enc_is_utf8((const char *)bytes, got));
	}
	arena_free(arena);
}

static void
test_mail_without_an_address(void)
{
	const char *bad[] = {"o-owner", "", "a@b@c", "a b@c", "a@b\r\nX: y",
	    "<a@b>", "@b", "a@", "\xc3\xa4@b", "a@b,c@d"};
	const char *lines[] = {"line"};
	struct notice n = notice_of(lines, 1, 1);
	struct notifier_call c = {0};
	const char *why = "";

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		n.recipient = bad[i];
		CHECK_INT(notifier_email.build(&settings, arena, &n, &c, &why),
		    RC_INVALID);
		CHECK(strstr(why, "no e-mail address"));
	}
	arena_free(arena);
}

static void
test_mail_tls(void)
{
	const char *lines[] = {"line"};
	struct notice n = notice_of(lines, 1, 1);
	struct notifier_settings s = settings;
	struct notifier_call c;

	arena = arena_new();
	s.smtp_port = 465;
	(void)built(&notifier_email, &s, &n, &c);
	CHECK_INT(c.mail.tls, MAIL_TLS_AT_ONCE);
	s.smtp_tls = false;
	s.smtp_user = "";
	(void)built(&notifier_email, &s, &n, &c);
	CHECK_INT(c.mail.tls, MAIL_TLS_NONE);
	CHECK(!c.mail.user);
	arena_free(arena);
}

static void
test_webhook(void)
{
	const char *lines[] = {HOSTILE};
	struct notice n = notice_of(lines, 1, 1);
	struct notifier_settings s = settings;
	const struct cJSON *json;
	struct notifier_call c;

	arena = arena_new();
	json = built(&notifier_webhook, &s, &n, &c);
	CHECK_STR(text(json, "type"), "event");
	CHECK_STR(text(json, "event_id"), "task-1000-1");
	CHECK_STR(text(json, "event_type"), "notification");
	CHECK_STR(text(json, "subject"), "ExpirationWarning");
	CHECK_STR(text(json, "recipient"), "owner@example.com");
	CHECK_STR(text(json, "created_at"), "2026-01-02T03:04:05.000Z");
	CHECK_STR(text(json, "certificate_id"), "mc-1");
	CHECK_STR(text(json_get(json, "metadata"), "count"), "1");
	CHECK_INT(count(text(json, "body"), "\n"), 0);
	CHECK_INT(strncmp(header(&c, "X-Signature"), "sha256=", 7), 0);
	CHECK_INT(strlen(header(&c, "X-Signature")), 7 + 64);
	CHECK_STR(header(&c, "X-Certctl-Timestamp"), "1767323045");
	CHECK_INT(strncmp(header(&c, "X-Certctl-Signature"), "v1=", 3), 0);
	s.webhook_secret = "";
	(void)built(&notifier_webhook, &s, &n, &c);
	CHECK(!header(&c, "X-Signature"));
	CHECK(!header(&c, "X-Certctl-Signature"));
	arena_free(arena);
}

/* RFC 2104 over bytes that are known. */
static void
test_webhook_signature(void)
{
	const char *lines[] = {"a"};
	struct notice n = notice_of(lines, 1, 1);
	struct notifier_settings s = settings;
	struct notifier_call c;

	arena = arena_new();
	s.webhook_secret = "key";
	(void)built(&notifier_webhook, &s, &n, &c);
	CHECK_STR(c.http.body,
	    "{\"type\":\"event\",\"event_id\":\"task-1000-1\",\"event_type\":"
	    "\"notification\",\"subject\":\"ExpirationWarning\",\"body\":\"a\","
	    "\"recipient\":\"owner@example.com\",\"created_at\":"
	    "\"2026-01-02T03:04:05.000Z\",\"certificate_id\":\"mc-1\","
	    "\"metadata\":{\"severity\":\"critical\",\"count\":\"1\"}}");
	CHECK_STR(header(&c, "X-Signature"), "sha256=" SIGNATURE);
	CHECK_STR(header(&c, "X-Certctl-Signature"), "v1=" TIMED_SIGNATURE);
	arena_free(arena);
}

static void
test_slack(void)
{
	const char *lines[] = {HOSTILE, "second"};
	struct notice n = notice_of(lines, 2, 2);
	const struct cJSON *json;
	struct notifier_call c;

	arena = arena_new();
	json = built(&notifier_slack, &settings, &n, &c);
	CHECK(strstr(text(json, "text"), "&lt;!channel&gt;"));
	CHECK(!strstr(text(json, "text"), "<"));
	CHECK_INT(count(text(json, "text"), "\n"), 2);
	CHECK_STR(text(json, "username"), "certctl");
	CHECK(!json_get(json, "channel"));
	arena_free(arena);
}

static void
test_teams(void)
{
	const char *lines[] = {HOSTILE, "second"};
	struct notice n = notice_of(lines, 2, 1000);
	struct notifier_settings s = settings;
	const struct cJSON *json;
	struct notifier_call c;

	arena = arena_new();
	json = built(&notifier_teams, &s, &n, &c);
	CHECK_STR(text(json, "type"), "message");
	CHECK_INT(count(c.http.body, "RichTextBlock"), 4);
	CHECK_INT(count(c.http.body, "\"TextBlock\""), 0);
	CHECK(strstr(c.http.body, "and 998 more"));
	s.teams_is_card = true;
	json = built(&notifier_teams, &s, &n, &c);
	CHECK_STR(text(json, "@type"), "MessageCard");
	CHECK(strstr(c.http.body, "\\\\[a\\\\]\\\\(https"));
	CHECK(!strstr(c.http.body, "<script"));
	CHECK(strstr(c.http.body, "lt;script"));
	arena_free(arena);
}

static void
test_pagerduty_and_opsgenie(void)
{
	char long_line[3001];
	const char *lines[] = {long_line};
	struct notice n = notice_of(lines, 1, 1);
	const struct cJSON *json;
	struct notifier_call c;

	arena = arena_new();
	memset(long_line, 'x', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	json = built(&notifier_pagerduty, &settings, &n, &c);
	CHECK_STR(text(json, "routing_key"), "routing-key");
	CHECK_STR(text(json, "dedup_key"), "ExpirationWarning:mc-1");
	json = json_get(json, "payload");
	CHECK_INT(strlen(text(json, "summary")), 1024);
	CHECK_STR(text(json, "severity"), "warning");
	json = built(&notifier_opsgenie, &settings, &n, &c);
	CHECK_INT(strlen(text(json, "message")), 130);
	CHECK_STR(text(json, "alias"), "ExpirationWarning:mc-1");
	CHECK_STR(text(json, "priority"), "P3");
	CHECK_STR(header(&c, "Authorization"), "GenieKey genie-key");
	n = notice_of(lines, 1, 5);
	json = built(&notifier_pagerduty, &settings, &n, &c);
	CHECK_STR(text(json, "dedup_key"), "task-1000-1");
	arena_free(arena);
}

/* What must never be shown is named to whoever shows answers. */
static void
test_secrets_are_named(void)
{
	static const char *const secrets[] = {"smtp-password",
	    "https://hooks.example/slack-token", "https://teams.example/token",
	    "routing-key", "genie-key", "webhook-secret"};
	const char *lines[] = {"line"};
	struct notice n = notice_of(lines, 1, 1);
	struct notifier_call c;
	size_t found = 0;

	arena = arena_new();
	for (size_t i = 0; notifiers[i]; i++) {
		(void)built(notifiers[i], &settings, &n, &c);
		for (size_t k = 0; k < ARRAY_LEN(c.secrets) && c.secrets[k];
		     k++)
			for (size_t j = 0; j < ARRAY_LEN(secrets); j++)
				found += strcmp(c.secrets[k], secrets[j]) == 0;
	}
	CHECK_INT(found, ARRAY_LEN(secrets));
	CHECK(notifier_find("Slack") == &notifier_slack);
	CHECK(!notifier_find("Pigeon"));
	arena_free(arena);
}

CHECK_MAIN(CHECK_ROW(test_lines), CHECK_ROW(test_bodies), CHECK_ROW(test_mail),
    CHECK_ROW(test_mail_subjects), CHECK_ROW(test_mail_without_an_address),
    CHECK_ROW(test_mail_tls), CHECK_ROW(test_webhook),
    CHECK_ROW(test_webhook_signature), CHECK_ROW(test_slack),
    CHECK_ROW(test_teams), CHECK_ROW(test_pagerduty_and_opsgenie),
    CHECK_ROW(test_secrets_are_named))
