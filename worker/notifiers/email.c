/*
 * Mail, as text and as HTML.  Its Message-ID stays the same when it is sent
 * again.
 */
#include "common/base/buf.h"
#include "common/base/html.h"
#include "worker/notifiers/mime.h"
#include "worker/notifiers/notifier.h"

#define LINES_MAX 100
#define PORT_TLS 465
#define TIMEOUT_MS 30000

static bool
is_on(const struct notifier_settings *s)
{
	return *s->smtp_host != '\0' && *s->smtp_from != '\0';
}

static const char *
subject_of(struct arena *a, const struct notice *n)
{
	const char *subject = notice_subject(a, n);

	if (n->subject)
		return n->subject;
	if (*n->certificate_id == '\0')
		return arena_printf(a, "[certctl] %s", subject);
	return arena_printf(a, "[certctl] %s: %s", subject, n->certificate_id);
}

static const char *
page_of(struct arena *a, const struct notice *n)
{
	const char *rest = notice_rest(a, n, LINES_MAX), *page;
	struct buf b;

	buf_init(&b, 0);
	buf_puts(&b, "<!DOCTYPE html>\n<html><body>\n<p>");
	html_put(&b, notice_subject(a, n));
	buf_puts(&b, "</p>\n<ul>\n");
	for (size_t i = 0; i < n->n && i < LINES_MAX; i++) {
		buf_puts(&b, "<li>");
		html_put(&b, notice_line(a, n->lines[i], 500));
		buf_puts(&b, "</li>\n");
	}
	buf_puts(&b, "</ul>\n<p>");
	html_put(&b, rest);
	buf_puts(&b, "</p>\n</body></html>\n");
	page = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return page;
}

static const char *
text_of(struct arena *a, const struct notice *n)
{
	return arena_printf(a, "%s\n", notice_body(a, n, LINES_MAX));
}

static rc
build(const struct notifier_settings *s, struct arena *a,
    const struct notice *n, struct notifier_call *out, const char **out_why)
{
	struct mail_request *m = &out->mail;
	struct mime_mail mime = {
	    .from = s->smtp_from,
	    .to = n->recipient,
	    .subject = subject_of(a, n),
	    .id = n->id,
	    .date_unix = n->now_unix,
	    .text = n->text ? n->text : text_of(a, n),
	    .html = n->html ? n->html : page_of(a, n),
	};

	if (!mail_is_address(n->recipient)) {
		*out_why = "the recipient is no e-mail address: give the "
			   "certificate's owner one";
		return RC_INVALID;
	}
	out->is_mail = true;
	*m = (struct mail_request){
	    .host = s->smtp_host,
	    .port = s->smtp_port,
	    .tls = MAIL_TLS_STARTTLS,
	    .user = *s->smtp_user ? s->smtp_user : NULL,
	    .password = s->smtp_password,
	    .from = s->smtp_from,
	    .to = n->recipient,
	    .timeout_ms = TIMEOUT_MS,
	};
	if (!s->smtp_tls)
		m->tls = MAIL_TLS_NONE;
	else if (s->smtp_port == PORT_TLS)
		m->tls = MAIL_TLS_AT_ONCE;
	m->message = mime_write(a, &mime, &m->len);
	out->secrets[0] = s->smtp_password;
	return RC_OK;
}

const struct notifier_ops notifier_email = {
    .channel = "Email",
    .needs = "CERTCTL_SMTP_HOST and CERTCTL_SMTP_FROM_ADDRESS",
    .is_on = is_on,
    .build = build,
};
