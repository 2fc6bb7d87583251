#include "worker/issuers/acme_authz.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/hostname.h"
#include "common/base/plain.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "worker/issuers/acme_hook.h"
#include "worker/issuers/acme_http01.h"
#include "worker/issuers/acme_memory.h"
#include "worker/issuers/acme_text.h"

/* What is begun with less left to do it in is left to the next time. */
#define STEP_MS 6000
#define SCRIPT_STEP_MS (ACME_HOOK_S * 1000 + 1000)
#define SOON_MS 1
/* A CA that was told, and shows nothing of it for so long, has lost it. */
#define TELL_AGAIN_MS 300000
#define NEVER (-1)

enum phase { PRESENT, RESPOND, CLEAN };

struct walk { /* in the arena */
	struct acme_authz_work w;
	enum phase phase;
	size_t at;
	bool is_all_valid;
	int64_t began_ms, put_age_ms;
	size_t nput;
	size_t ntold; /* the CA was told of the first, when last: */
	int64_t told_age_ms;
	/* the one at hand */
	const struct cJSON *challenge;
	const char *domain;
	const char *token;
	enum acme_challenge kind;
	bool is_wildcard;
};

static void step(struct walk *w);

/* --- notes --- */

static void
read_note(struct walk *w, char kind, size_t *out_n, int64_t *out_ms)
{
	unsigned n;
	long long ms = 0;

	*out_n = 0;
	*out_ms = 0;
	if (w->w.note[0] != kind ||
	    sscanf(w->w.note + 1, "%u:%lld", &n, &ms) < 1)
		return;
	*out_n = n < w->w.n ? n : w->w.n;
	*out_ms = ms;
}

static const char *
write_note(struct walk *w)
{
	if (w->phase == CLEAN)
		return arena_printf(w->w.a, "c%zu", w->at);
	if (w->told_age_ms != NEVER)
		return arena_printf(w->w.a, "t%zu:%" PRId64, w->ntold,
		    w->told_age_ms);
	if (w->nput == 0)
		return "";
	return arena_printf(w->w.a, "p%zu:%" PRId64, w->nput, w->put_age_ms);
}

static int64_t
age_ms(const struct walk *w)
{
	return w->w.order_age_ms + loop_now_ms(w->w.env->loop) - w->began_ms;
}

/* --- ends --- */

static void
end(struct walk *w, enum acme_authz_end how, const char *words, int64_t wait_ms)
{
	struct acme_authz_result result = {
	    .end = how,
	    .words = words,
	    .wait_ms = wait_ms,
	    .note = write_note(w),
	};

	w->w.done(w->w.arg, &result);
}

static void
end_unanswered(struct walk *w, const struct acme_reply *reply)
{
	struct acme_authz_result result = {
	    .end = ACME_AUTHZ_RETRY,
	    .words = reply->words,
	    .retry_after_s = reply->retry_after_s,
	    .note = write_note(w),
	};

	w->w.done(w->w.arg, &result);
}

static void
next(struct walk *w)
{
	w->at++;
	if (w->phase == PRESENT)
		w->nput = w->at;
	if (w->phase == RESPOND && w->ntold < w->at)
		w->ntold = w->at;
	step(w);
}

/* --- the challenge at hand --- */

/* What the CA says of why it did not find what it looked for. */
static const char *
error_words(struct walk *w, const struct cJSON *object)
{
	return arena_printf(w->w.a, "%s: %s", w->domain,
	    acme_problem_words(w->w.a, json_get(object, "error")));
}

static const struct cJSON *
find_challenge(const struct cJSON *authz, const char *type)
{
	const struct cJSON *item = NULL;

	cJSON_ArrayForEach(item, json_get(authz, "challenges"))
	{
		if (strcmp(acme_text(item, "type"), type) == 0)
			return item;
	}
	return NULL;
}

static const char *
offered(struct walk *w, const struct cJSON *authz)
{
	const struct cJSON *item = NULL;
	char *text = arena_strdup(w->w.a, "");

	cJSON_ArrayForEach(item, json_get(authz, "challenges"))
	{
		if (strlen(text) < ACME_WORDS_MAX)
			text = arena_printf(w->w.a, "%s%s%s", text,
			    text[0] ? ", " : "", acme_text(item, "type"));
	}
	plain_clean(text);
	return text[0] ? text : "none";
}

/* False: it is none of ours, and words say why. */
static bool
take_challenge(struct walk *w, const struct cJSON *authz,
    const char **out_words)
{
	const char *name = acme_challenge_name(w->w.config->challenge);

	w->kind = w->w.config->challenge;
	w->challenge = find_challenge(authz, name);
	if (!w->challenge && w->kind == ACME_DNS_PERSIST01) {
		w->kind = ACME_DNS01;
		w->challenge =
		    find_challenge(authz, acme_challenge_name(ACME_DNS01));
	}
	if (!w->challenge) {
		*out_words = arena_printf(w->w.a,
		    "%s%s: the CA does not offer %s (it offers: %s)",
		    w->is_wildcard ? "*." : "", w->domain, name,
		    offered(w, authz));
		return false;
	}
	w->token = "";
	if (w->kind == ACME_DNS_PERSIST01)
		return true;
	w->token = acme_text(w->challenge, "token");
	if (!acme_token_is_valid(w->token)) {
		*out_words = arena_printf(w->w.a,
		    "%s: the CA's challenge has no token", w->domain);
		return false;
	}
	return true;
}

static bool
take_identifier(struct walk *w, const struct cJSON *authz)
{
	w->domain = acme_text(json_get(authz, "identifier"), "value");
	w->is_wildcard = cJSON_IsTrue(json_get(authz, "wildcard"));
	return hostname_is_valid(w->domain, false) ||
	       hostname_is_address(w->domain);
}

static const char *
key_authorization(struct walk *w)
{
	return arena_printf(w->w.a, "%s.%s", w->token, w->w.key->thumbprint);
}

/* --- records --- */

static const char *
record_value(struct walk *w)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const char *text;

	if (w->kind == ACME_DNS_PERSIST01)
		return arena_printf(w->w.a, "%s; accounturi=%s%s",
		    w->w.config->persist_issuer,
		    acme_client_account(w->w.client),
		    w->is_wildcard ? "; policy=wildcard" : "");
	text = key_authorization(w);
	SHA256((const uint8_t *)text, strlen(text), digest);
	return enc_base64url(w->w.a, digest, sizeof(digest));
}

static void
on_presented(void *arg, const char *why)
{
	struct walk *w = arg;

	if (why) {
		end(w, ACME_AUTHZ_RETRY,
		    arena_printf(w->w.a, "%s: %s", w->domain, why), 0);
		return;
	}
	w->put_age_ms = age_ms(w);
	next(w);
}

static void
on_cleaned(void *arg, const char *why)
{
	struct walk *w = arg;

	if (why)
		log_warn("ACME-CLEANUP", "%s: %s, its record stays", w->domain,
		    why);
	next(w);
}

static void
run_hook(struct walk *w, const char *script, acme_hook_fn *done)
{
	struct acme_hook hook = {
	    .script = script,
	    .domain = w->domain,
	    .fqdn = arena_printf(w->w.a, "%s.%s",
		w->kind == ACME_DNS_PERSIST01 ? "_validation-persist"
					      : "_acme-challenge",
		w->domain),
	    .value = record_value(w),
	    .token = w->token,
	};

	if (acme_hook_run(w->w.env, w->w.a, &hook, done, w) != RC_OK)
		done(w, arena_printf(w->w.a, "%s can't be run: %s", script,
			    strerror(errno)));
}

/* --- answering --- */

static bool
put_answer(struct walk *w, const char **out_why)
{
	struct acme_answer answer = {
	    .order = w->w.order,
	    .token = w->token,
	    .key_authorization = key_authorization(w),
	};
	rc ret;

	if (w->w.config->webroot[0] != '\0') {
		ret = acme_webroot_put(w->w.a, w->w.config->webroot, &answer,
		    out_why);
		w->nput = w->w.n; /* to be taken away */
	} else {
		ret = acme_http01_put(acme_cas_http01(w->w.env->acme), w->w.a,
		    (int)w->w.config->http_port, &answer, out_why);
	}
	return ret == RC_OK;
}

static void
on_responded(void *arg, const struct acme_reply *reply)
{
	struct walk *w = arg;

	/* It may be answered already, by a worker that is gone: what has come
	 * of that the authorization says the next time. */
	if (!reply->is_good && !reply->http) {
		end_unanswered(w, reply);
		return;
	}
	if (!reply->is_good && strcmp(reply->problem, "malformed") != 0) {
		end_unanswered(w, reply);
		return;
	}
	w->told_age_ms = age_ms(w);
	acme_client_note_told(w->w.client, acme_text(w->challenge, "url"));
	next(w);
}

/* By whatever worker, or by this one under a lease that it lost. */
static bool
was_told(struct walk *w)
{
	if (w->told_age_ms != NEVER && w->at < w->ntold &&
	    age_ms(w) - w->told_age_ms < TELL_AGAIN_MS)
		return true;
	return acme_client_told_ms(w->w.client,
		   acme_text(w->challenge, "url")) < TELL_AGAIN_MS;
}

static void
respond(struct walk *w, const char *status)
{
	struct acme_request req = {.payload = "{}"};
	const char *why = "";

	w->is_all_valid = false;
	/* One that is being looked for again, the listener may not have any
	 * more. */
	if (w->kind == ACME_HTTP01 && !put_answer(w, &why)) {
		end(w, ACME_AUTHZ_RETRY, why, 0);
		return;
	}
	if (strcmp(status, "pending") != 0 || was_told(w)) {
		next(w);
		return;
	}
	req.url = acme_text(w->challenge, "url");
	acme_client_ask(w->w.client, &req, on_responded, w);
}

static void
work_on_pending(struct walk *w, const struct cJSON *authz)
{
	const char *words = "", *status;

	if (!take_challenge(w, authz, &words)) {
		end(w, ACME_AUTHZ_FAILED, words, 0);
		return;
	}
	status = acme_text(w->challenge, "status");
	if (strcmp(status, "invalid") == 0)
		end(w, ACME_AUTHZ_ENDED, error_words(w, w->challenge), 0);
	else if (w->phase == RESPOND)
		respond(w, status);
	else if (strcmp(status, "pending") == 0)
		run_hook(w, w->w.config->present_script, on_presented);
	else
		next(w);
}

/* Of one that failed: the challenge that did says why. */
static void
end_invalid(struct walk *w, const struct cJSON *authz, const char *status)
{
	const struct cJSON *item = NULL;

	cJSON_ArrayForEach(item, json_get(authz, "challenges"))
	{
		if (json_get(item, "error")) {
			end(w, ACME_AUTHZ_ENDED, error_words(w, item), 0);
			return;
		}
	}
	end(w, ACME_AUTHZ_ENDED,
	    arena_printf(w->w.a, "%s: its authorization is %s", w->domain,
		status),
	    0);
}

static void
clean_one(struct walk *w, const struct cJSON *authz)
{
	const char *words;

	/* One that was valid before shows another challenge, maybe. */
	if (!take_challenge(w, authz, &words) ||
	    w->kind == ACME_DNS_PERSIST01) {
		next(w);
		return;
	}
	if (w->kind == ACME_HTTP01) {
		acme_webroot_withdraw(w->w.a, w->w.config->webroot, w->token);
		next(w);
		return;
	}
	run_hook(w, w->w.config->cleanup_script, on_cleaned);
}

static void
on_authz(void *arg, const struct acme_reply *reply)
{
	struct walk *w = arg;
	const struct cJSON *authz;
	const char *status;

	if (!reply->is_good || !reply->http->json) {
		end_unanswered(w, reply);
		return;
	}
	authz = reply->http->json;
	status = acme_text(authz, "status");
	if (!take_identifier(w, authz) || status[0] == '\0') {
		end(w, ACME_AUTHZ_RETRY, "an authorization can't be read", 0);
		return;
	}
	if (w->phase == CLEAN)
		clean_one(w, authz);
	else if (strcmp(status, "valid") == 0 ||
		 (w->w.is_over && strcmp(status, "pending") == 0))
		next(w);
	else if (strcmp(status, "pending") == 0)
		work_on_pending(w, authz);
	else
		end_invalid(w, authz, status);
}

/* --- one after the other --- */

/* All answers are in place: the CA is told when others see them too. */
static void
all_presented(struct walk *w)
{
	int64_t wait_ms = w->w.config->propagation_s * 1000;
	int64_t left_ms = w->put_age_ms + wait_ms - age_ms(w);

	if (w->put_age_ms > 0 && left_ms > 0) {
		end(w, ACME_AUTHZ_WAIT,
		    "the records of the challenges are in place, and given "
		    "time to spread (dns_propagation_wait)",
		    left_ms);
		return;
	}
	w->phase = RESPOND;
	w->at = 0;
	step(w);
}

static void
all_seen(struct walk *w)
{
	switch (w->phase) {
	case PRESENT:
		all_presented(w);
		return;
	case RESPOND:
		if (w->w.is_over)
			end(w, ACME_AUTHZ_ENDED, "invalid", 0);
		else
			end(w,
			    w->is_all_valid ? ACME_AUTHZ_DONE : ACME_AUTHZ_WAIT,
			    w->is_all_valid ? ""
					    : "the CA looks for the answers",
			    0);
		return;
	case CLEAN:
		end(w, ACME_AUTHZ_DONE, "", 0);
		return;
	}
}

static void
step(struct walk *w)
{
	struct acme_request req = {0};
	bool has_script =
	    w->phase == PRESENT ||
	    (w->phase == CLEAN && w->w.config->challenge != ACME_HTTP01);

	if (w->at == w->w.n) {
		all_seen(w);
		return;
	}
	if (acme_client_left_ms(w->w.client) <
	    (has_script ? SCRIPT_STEP_MS : STEP_MS)) {
		end(w, ACME_AUTHZ_WAIT, "there is more to do", SOON_MS);
		return;
	}
	req.url = w->w.urls[w->at];
	acme_client_ask(w->w.client, &req, on_authz, w);
}

static struct walk *
walk_new(const struct acme_authz_work *work)
{
	struct walk *w = arena_alloc(work->a, sizeof(*w));

	w->w = *work;
	w->is_all_valid = true;
	w->told_age_ms = NEVER;
	w->began_ms = loop_now_ms(work->env->loop);
	return w;
}

void
acme_authz_answer(const struct acme_authz_work *work)
{
	struct walk *w = walk_new(work);

	read_note(w, 'p', &w->nput, &w->put_age_ms);
	if (work->note[0] == 't') {
		read_note(w, 't', &w->ntold, &w->told_age_ms);
		w->nput = work->n;
	}
	w->phase = work->is_over || w->told_age_ms != NEVER ||
			   work->config->challenge == ACME_HTTP01
		       ? RESPOND
		       : PRESENT;
	w->at = w->phase == PRESENT ? w->nput : 0;
	step(w);
}

void
acme_authz_clean(const struct acme_authz_work *work)
{
	struct walk *w = walk_new(work);
	const struct acme_config *c = work->config;
	int64_t ms;

	acme_http01_withdraw(acme_cas_http01(work->env->acme), work->order);
	w->phase = CLEAN;
	read_note(w, 'c', &w->at, &ms);
	/* Nothing was put up, or nothing takes it away. */
	if (work->note[0] == '\0' ||
	    (c->challenge == ACME_HTTP01 ? c->webroot[0] == '\0'
					 : c->cleanup_script[0] == '\0'))
		w->at = work->n;
	step(w);
}
