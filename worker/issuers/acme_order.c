#include "worker/issuers/acme_order.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "common/base/plain.h"
#include "common/base/rand.h"
#include "common/json/json.h"

#define LATER_MIN_MS 1000
#define LATER_MAX_MS 300000
#define LATER_JITTER_PERCENT 20

void
acme_order_begin(struct acme_order *o, int64_t limit_ms, issuer_answer_fn *done,
    void *arg)
{
	o->done = done;
	o->arg = arg;
	acme_client_limit(o->client, limit_ms);
}

void
acme_order_answer(struct acme_order *o, enum issuer_verdict verdict,
    const char *words, int64_t retry_after_s)
{
	struct issuer_answer a = {
	    .verdict = verdict,
	    .words = words,
	    .order_id = o->url,
	    .retry_after_s = retry_after_s,
	};

	o->done(o->arg, &a);
}

void
acme_order_pending(struct acme_order *o, const char *words, int64_t wait_ms,
    int64_t retry_after_s)
{
	struct issuer_answer a = {
	    .verdict = ISSUER_PENDING,
	    .words = words,
	    .order_id = o->url,
	    .retry_after_s = retry_after_s,
	    .wait_ms = wait_ms,
	    .note = o->note,
	};

	if (wait_ms == 0) {
		a.wait_ms = o->o->waited_ms / 2;
		if (a.wait_ms < LATER_MIN_MS)
			a.wait_ms = LATER_MIN_MS;
		if (a.wait_ms > LATER_MAX_MS)
			a.wait_ms = LATER_MAX_MS;
		a.wait_ms = rand_jitter(a.wait_ms, LATER_JITTER_PERCENT);
	}
	o->done(o->arg, &a);
}

void
acme_order_ask(struct acme_order *o, const char *url, const char *payload,
    acme_reply_fn *done)
{
	struct acme_request req = {.url = url, .payload = payload};

	acme_client_ask(o->client, &req, done, o);
}

#define PROFILES_SHOWN 20

/* The names that the CA offers, for people. */
static const char *
offered(struct arena *a, const struct cJSON *profiles)
{
	const struct cJSON *one = NULL;
	const char *names = "";
	int n = 0;

	cJSON_ArrayForEach(one, profiles)
	{
		if (++n > PROFILES_SHOWN)
			return arena_printf(a, "%s, ...", names);
		names = arena_printf(a, "%s%s%.64s", names, n > 1 ? ", " : "",
		    one->string);
	}
	return names;
}

const char *
acme_order_misfit(struct acme_order *o)
{
	const struct cJSON *meta =
	    json_get_exact(acme_client_directory(o->client), "meta");
	const struct cJSON *profiles = json_get_exact(meta, "profiles");
	char *words;

	if (o->config.profile[0] == '\0' ||
	    (cJSON_IsObject(profiles) &&
		json_get_exact(profiles, o->config.profile)))
		return NULL;
	if (!cJSON_IsObject(profiles) || !profiles->child)
		return arena_printf(o->a,
		    "the CA offers no profiles, so none can be \"%s\": take "
		    "profile out of the issuer's configuration",
		    o->config.profile);
	words =
	    arena_printf(o->a, "the CA offers no profile \"%s\"; it offers %s",
		o->config.profile, offered(o->a, profiles));
	plain_clean(words);
	return words;
}

bool
acme_is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}
