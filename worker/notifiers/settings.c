#include "worker/notifiers/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/hostname.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/log/log.h"

#define USER_AGENT "certctl-notifier/1.0"
/* Where the retired connectors of Teams listen. */
#define TEAMS_CARD_HOST ".webhook.office.com/"

struct notifier_outs {
	struct notifier_settings settings;
	struct notifier_env env;
	struct http_out *http, *mail;
	unsigned under_way[NOTIFIER_COUNT];
};

static rc
complain(const char *variable, const char *what)
{
	log_error("CONFIG", "%s: %s", variable, what);
	return RC_INVALID;
}

/* A secret may be in it: the URL itself is not shown. */
static rc
check_url(const char *variable, const char *url, bool allow_plain)
{
	size_t scheme = strncasecmp(url, "https://", 8) == 0  ? 8
			: strncasecmp(url, "http://", 7) == 0 ? 7
							      : 0;
	size_t host = strcspn(url + scheme, "/?#");

	if (*url == '\0')
		return RC_OK;
	if (scheme == 7 && !allow_plain)
		return complain(variable,
		    "http:// shows everybody on the way what it says; https:// "
		    "is asked for, or CERTCTL_NOTIFY_ALLOW_HTTP=true");
	if (scheme == 0 || host == 0)
		return complain(variable, "this is no URL https://host/...");
	if (memchr(url + scheme, '@', host))
		return complain(variable,
		    "a user or password has no place in the URL");
	if (!plain_is_line(url) || strpbrk(url, " \"<>\\^`{|}"))
		return complain(variable,
		    "it holds a character that no URL has");
	return RC_OK;
}

static rc
check_urls(const struct cfg *cfg)
{
	static const struct {
		const char *key, *variable;
	} urls[] = {
	    {"slack_webhook_url", "CERTCTL_SLACK_WEBHOOK_URL"},
	    {"teams_webhook_url", "CERTCTL_TEAMS_WEBHOOK_URL"},
	    {"pagerduty_url", "CERTCTL_PAGERDUTY_URL"},
	    {"opsgenie_url", "CERTCTL_OPSGENIE_URL"},
	    {"webhook_url", "CERTCTL_WEBHOOK_URL"},
	};
	bool allow_plain = cfg_bool(cfg, "notify_allow_http");
	rc ret = RC_OK;

	for (size_t i = 0; i < ARRAY_LEN(urls); i++)
		ret =
		    rc_first(ret, check_url(urls[i].variable,
				      cfg_str(cfg, urls[i].key), allow_plain));
	return ret;
}

static bool
is_this_host(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       (strncmp(host, "127.", 4) == 0 && hostname_is_address(host));
}

static rc
check_smtp(const struct notifier_settings *s)
{
	rc ret = RC_OK;

	if (!*s->smtp_host != !*s->smtp_from)
		ret = complain("CERTCTL_SMTP_HOST, CERTCTL_SMTP_FROM_ADDRESS",
		    "mail needs both");
	if (*s->smtp_host && !hostname_is_valid(s->smtp_host, false) &&
	    !hostname_is_address(s->smtp_host))
		ret = complain("CERTCTL_SMTP_HOST",
		    "this is no host's name or address");
	if (*s->smtp_from && !mail_is_address(s->smtp_from))
		ret = complain("CERTCTL_SMTP_FROM_ADDRESS",
		    "this is no e-mail address");
	for (size_t i = 0; s->digest_recipients[i]; i++) {
		if (!mail_is_address(s->digest_recipients[i]))
			ret = complain("CERTCTL_DIGEST_RECIPIENTS",
			    "one of them is no e-mail address");
	}
	if (!*s->smtp_user != !*s->smtp_password)
		ret = complain("CERTCTL_SMTP_USERNAME, CERTCTL_SMTP_PASSWORD",
		    "to sign in takes both");
	if (*s->smtp_user && !s->smtp_tls && !is_this_host(s->smtp_host))
		ret = complain("CERTCTL_SMTP_USE_TLS",
		    "without TLS the password would be sent in the clear");
	return ret;
}

/* What becomes part of a header. */
static rc
check_lines(const struct notifier_settings *s)
{
	const struct {
		const char *variable, *value;
	} lines[] = {
	    {"CERTCTL_OPSGENIE_API_KEY", s->opsgenie_key},
	    {"CERTCTL_PAGERDUTY_ROUTING_KEY", s->pagerduty_key},
	    {"CERTCTL_SMTP_USERNAME", s->smtp_user},
	    {"CERTCTL_SMTP_PASSWORD", s->smtp_password},
	    {"CERTCTL_SLACK_CHANNEL", s->slack_channel},
	    {"CERTCTL_SLACK_USERNAME", s->slack_username},
	};
	rc ret = RC_OK;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (!plain_is_line(lines[i].value))
			ret = complain(lines[i].variable,
			    "it holds an end of a line, or what can't be seen");
	}
	return ret;
}

static bool
is_card(const struct cfg *cfg, const char *url)
{
	const char *format = cfg_str(cfg, "teams_format");

	if (strcmp(format, "auto") == 0)
		return strstr(url, TEAMS_CARD_HOST) != NULL;
	return strcmp(format, "messagecard") == 0;
}

static rc
settings_read(const struct cfg *cfg, struct notifier_settings *out)
{
	rc ret;

	*out = (struct notifier_settings){
	    .smtp_host = cfg_str(cfg, "smtp_host"),
	    .smtp_user = cfg_str(cfg, "smtp_username"),
	    .smtp_password = cfg_str(cfg, "smtp_password"),
	    .smtp_from = cfg_str(cfg, "smtp_from_address"),
	    .smtp_port = (int)cfg_int(cfg, "smtp_port"),
	    .smtp_tls = cfg_bool(cfg, "smtp_use_tls"),
	    .slack_url = cfg_str(cfg, "slack_webhook_url"),
	    .slack_channel = cfg_str(cfg, "slack_channel"),
	    .slack_username = cfg_str(cfg, "slack_username"),
	    .teams_url = cfg_str(cfg, "teams_webhook_url"),
	    .pagerduty_key = cfg_str(cfg, "pagerduty_routing_key"),
	    .pagerduty_severity = cfg_str(cfg, "pagerduty_severity"),
	    .pagerduty_url = cfg_str(cfg, "pagerduty_url"),
	    .opsgenie_key = cfg_str(cfg, "opsgenie_api_key"),
	    .opsgenie_priority = cfg_str(cfg, "opsgenie_priority"),
	    .opsgenie_url = cfg_str(cfg, "opsgenie_url"),
	    .webhook_url = cfg_str(cfg, "webhook_url"),
	    .webhook_secret = cfg_str(cfg, "webhook_secret"),
	    .digest_recipients = cfg_list(cfg, "digest_recipients"),
	};
	out->teams_is_card = is_card(cfg, out->teams_url);
	/* All of them: one start tells every mistake. */
	ret = check_urls(cfg);
	ret = rc_first(ret, check_smtp(out));
	return rc_first(ret, check_lines(out));
}

/* --- the clients --- */

rc
notifier_outs_new(struct loop *l, const struct cfg *cfg,
    struct notifier_outs **out)
{
	const char *ca_file = cfg_str(cfg, "notify_ca_file");
	const struct outbound outbound = {
	    .refuses_private = cfg_bool(cfg, "block_rfc1918_outbound"),
	    .allows_loopback = cfg_bool(cfg, "notify_allow_loopback"),
	};
	struct http_out_opts opts = {
	    .ca_file = *ca_file ? ca_file : NULL,
	    .least_tls = HTTP_TLS_1_2,
	    .user_agent = USER_AGENT,
	    .keep_none = true,
	};
	struct notifier_outs *o = mem_zalloc(sizeof(*o));
	rc ret;

	ret = settings_read(cfg, &o->settings);
	if (ret == RC_OK)
		ret = http_out_new(l, &opts, &o->mail);
	opts.allow_plain = cfg_bool(cfg, "notify_allow_http");
	opts.outbound = &outbound;
	if (ret == RC_OK)
		ret = http_out_new(l, &opts, &o->http);
	if (ret == RC_INVALID && *ca_file && !o->mail)
		log_error("CONFIG", "CERTCTL_NOTIFY_CA_FILE: no certificates "
				    "in PEM can be read there");
	if (ret != RC_OK) {
		notifier_outs_free(o);
		return ret;
	}
	o->env =
	    (struct notifier_env){&o->settings, o->http, o->mail, o->under_way};

	*out = o;
	return RC_OK;
}

void
notifier_outs_free(struct notifier_outs *o)
{
	if (!o)
		return;
	http_out_free(o->http);
	http_out_free(o->mail);
	free(o);
}

const struct notifier_env *
notifier_outs_env(const struct notifier_outs *o)
{
	return &o->env;
}
