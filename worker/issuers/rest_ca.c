#include "worker/issuers/rest_ca.h"

#include <string.h>

#include "common/json/json.h"

static const char *
with_version(struct arena *a, const char *url, const char *version)
{
	size_t len = strlen(url), n = strlen(version);

	if (len > n && strcmp(url + len - n, version) == 0)
		return url;
	return arena_printf(a, "%s%s", url, version);
}

rc
rest_open(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const struct issuer_order *order,
    void **out, const char **out_why)
{
	const struct rest_ca *ca = ops->rest;
	struct rest_order *o = arena_alloc(a, ca->size);
	struct issuer_config c;
	rc ret;

	o->ca = ca;
	o->env = env;
	o->order = order;
	o->a = o->replies = a;
	issuer_config_start(&c, ops->type, env, a, config);
	ca->configure(o, &c);
	issuer_config_url(&c, ca->url_key,
	    o->own_urls ? o->own_urls : ca->own_urls, &o->base_url);
	ret = issuer_config_end(&c, out_why);
	if (ret != RC_OK)
		return ret;
	if (ca->version)
		o->base_url = with_version(a, o->base_url, ca->version);
	*out = o;
	return RC_OK;
}

int64_t
rest_limit_ms(const void *order)
{
	const struct rest_order *o = order;

	int calls = o->ca->calls;

	if (o->ca->sign_in)
		calls++;
	if (o->ca->token_key) /* one from before may not be let in */
		calls++;
	return calls * (int64_t)ISSUER_HTTP_MS;
}

bool
rest_can_look_up(const void *order)
{
	return true;
}

/* --- one order --- */

void
rest_judge_status(void *order, const struct cJSON *shown)
{
	struct rest_order *o = order;
	enum issuer_verdict verdict;
	const char *status = "";

	if (json_str(shown, "status", REST_TEXT_MAX, &status) != RC_OK) {
		rest_answer(o, ISSUER_RETRY, "the answer has no status", 0);
		return;
	}
	verdict = rest_verdict(o->ca->statuses, status);
	if (verdict == ISSUER_ISSUED)
		o->ca->fetch(o, shown, status);
	else
		rest_answer(o, verdict, status, 0);
}

rc
rest_poll(void *order, const char *order_id, issuer_answer_fn *done, void *arg)
{
	struct rest_order *o = order;

	rest_begin(o, order_id, done, arg);
	return rest_call(o, "GET", o->ca->order_path(o), NULL,
	    o->ca->on_order ? o->ca->on_order : rest_on_order);
}

/* --- looking up --- */

static void
end_timer(void *arg)
{
	timer_free(arg);
}

static void
answer_none(void *arg)
{
	rest_answer(arg, ISSUER_REFUSED,
	    "its answer was lost, and it gives a certificate only once: the "
	    "next renewal orders anew",
	    0);
}

rc
rest_look_up_none(void *order, issuer_answer_fn *done, void *arg)
{
	struct rest_order *o = order;
	struct timer *t = timer_new(o->env->loop, answer_none, o);

	rest_begin(o, NULL, done, arg);
	arena_defer(o->a, end_timer, t);
	timer_arm(t, 0);
	return RC_OK;
}

/* --- revoking, testing --- */

void
rest_look_at(struct rest_order *o, const char *path)
{
	o->look = path;
	o->on_look = rest_on_shown;
}

void
rest_on_shown(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;

	if (!rest_is_good(r))
		rest_answer_reply(o, ISSUER_RETRY, r);
	else if (o->ca->is_revoked(r->json))
		rest_answer(o, ISSUER_DONE, "", 0);
	else if (o->refusal)
		rest_answer(o, ISSUER_REFUSED, o->refusal, 0);
	else
		rest_answer(o, ISSUER_PENDING, "its approval is awaited", 0);
}

rc
rest_validate(void *order, issuer_answer_fn *done, void *arg)
{
	struct rest_order *o = order;

	rest_begin(o, NULL, done, arg);
	o->is_test = true;
	return rest_call(o, "GET", o->ca->test_path(o), NULL,
	    o->ca->on_tested ? o->ca->on_tested : rest_judge_test);
}
