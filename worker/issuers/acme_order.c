#include "worker/issuers/acme_order.h"

#include <string.h>

#include "common/base/rand.h"

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

bool
acme_is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}
