#include "agent/poll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/call.h"
#include "agent/journal.h"
#include "agent/keystore.h"
#include "agent/work.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/log/log.h"

#define CALL_SLACK_MS 15000
#define WORK_LIMIT_MS 300000
/* Between two questions when the first brought nothing new, unless the server
 * parked it for as long.  It does not park what lists work, so while that is
 * in hand the pause begins with the answer, and doubles: a host that is slow
 * with one thing would ask each second what it knows.  What is new meanwhile
 * waits that long at most. */
#define PAUSE_MS 1000
#define PAUSE_MAX_MS 4000
#define PAUSE_JITTER_PERCENT 20
/* Between any two. */
#define LEAST_MS 25
/* A job that ended is not begun again for so long, and of how many that is
 * remembered: more than can end in that time for good reason. */
#define ENDED_MS 1000
#define ENDED_MAX 256
/* With the tests of targets. */
#define IN_HAND_MAX 256
/* Enrolments wait so long when this host could not store a key. */
#define PUT_OFF_MIN_MS 1000
#define PUT_OFF_MAX_MS 8000

struct ended {
	char job[129];
	int64_t at_ms;
};

struct poll {
	struct agent *agent;
	struct timer *next;
	struct op *asking; /* the request under way, or NULL */
	struct work_list in_hand;
	int64_t asked_ms; /* when the last question began */
	int64_t backoff_ms;
	int64_t pause_ms; /* between that and the next */
	int64_t known_ms; /* the pause after another answer without news */
	bool has_answer;  /* of the question just over; else it timed out */
	bool is_outdated; /* an item ended since the question began */
	bool is_stopping;
	int64_t put_off_ms;            /* doubled wait; 0: this host can */
	int64_t put_off_until_ms;      /* no enrolment is begun before */
	struct ended ended[ENDED_MAX]; /* a ring */
	size_t n_ended;
};

/* The next question begins so long after the last began, not before now. */
static void
ask_after(struct poll *p, int64_t ms)
{
	int64_t passed = loop_now_ms(p->agent->loop) - p->asked_ms;

	if (p->is_stopping || p->asking)
		return;
	if (ms < LEAST_MS)
		ms = LEAST_MS;
	timer_arm(p->next, ms > passed ? ms - passed : 0);
}

static void
remember_ended(struct poll *p, const char *job)
{
	struct ended *e = &p->ended[p->n_ended++ % ENDED_MAX];

	snprintf(e->job, sizeof(e->job), "%s", job);
	e->at_ms = loop_now_ms(p->agent->loop);
}

/* The server may list it once more before it knows. */
static bool
has_just_ended(const struct poll *p, const char *job)
{
	int64_t now = loop_now_ms(p->agent->loop);

	for (size_t i = 0; i < ENDED_MAX; i++) {
		if (p->ended[i].job[0] && p->ended[i].at_ms + ENDED_MS > now &&
		    strcmp(p->ended[i].job, job) == 0)
			return true;
	}
	return false;
}

/* Those begun together are put off together. */
static void
put_off(struct poll *p)
{
	int64_t now = loop_now_ms(p->agent->loop);

	if (now < p->put_off_until_ms)
		return;
	p->put_off_ms = p->put_off_ms == 0 ? PUT_OFF_MIN_MS : p->put_off_ms * 2;
	if (p->put_off_ms > PUT_OFF_MAX_MS)
		p->put_off_ms = PUT_OFF_MAX_MS;
	p->put_off_until_ms =
	    now + rand_jitter(p->put_off_ms, PAUSE_JITTER_PERCENT);
}

static void
work_done(struct agent *a, void *arg)
{
	struct work *w = arg;
	struct poll *p = w->owner;

	work_remove(w);
	remember_ended(p, w->job);
	if (w->is_put_off)
		put_off(p);
	else if (!w->is_deployment && !w->is_test)
		p->put_off_ms = p->put_off_until_ms = 0;
	if (w->is_ended)
		p->is_outdated = true;
	/* What was not brought to its end is listed again at once. */
	ask_after(p, w->is_ended ? 0 : p->pause_ms);
	work_free(w);
}

static void
work_start(struct poll *p, struct work *w)
{
	w->agent = p->agent;
	w->owner = p;
	work_add(&p->in_hand, w);
	w->op = agent_op_start(p->agent,
	    w->is_test         ? "test"
	    : w->is_deployment ? "deploy"
			       : "enrol",
	    WORK_LIMIT_MS,
	    w->is_test         ? target_test_start
	    : w->is_deployment ? deploy_start
			       : enrol_start,
	    w, work_done);
}

/* RC_INVALID: not an item this agent understands; it is left alone. */
static rc
work_read(struct arena *a, const struct cJSON *item, struct work *w)
{
	const char *job, *type, *status, *certificate, *target = "", *kind = "";

	if (json_str(item, "id", sizeof(w->job) - 1, &job) != RC_OK ||
	    json_str(item, "type", 32, &type) != RC_OK ||
	    json_str(item, "status", 32, &status) != RC_OK ||
	    json_str(item, "certificate_id", sizeof(w->certificate) - 1,
		&certificate) != RC_OK)
		return RC_INVALID;
	/* Absent for an enrolment. */
	IGNORE_RESULT(
	    json_str(item, "target_id", sizeof(w->target) - 1, &target));
	IGNORE_RESULT(
	    json_str(item, "target_type", sizeof(w->type) - 1, &kind));
	w->is_deployment = strcmp(type, "Deployment") == 0;
	if (strcmp(status, "AwaitingCSR") != 0 &&
	    !(w->is_deployment && strcmp(status, "Running") == 0))
		return RC_INVALID;
	snprintf(w->job, sizeof(w->job), "%s", job);
	snprintf(w->certificate, sizeof(w->certificate), "%s", certificate);
	snprintf(w->target, sizeof(w->target), "%s", target);
	snprintf(w->type, sizeof(w->type), "%s", kind);
	w->item_json = mem_strdup(json_text(a, item));
	return RC_OK;
}

static rc
test_read(struct arena *a, const struct cJSON *item, struct work *w)
{
	const char *test, *target, *kind;

	if (json_str(item, "id", sizeof(w->job) - 1, &test) != RC_OK ||
	    json_str(item, "target_id", sizeof(w->target) - 1, &target) !=
		RC_OK ||
	    json_str(item, "target_type", sizeof(w->type) - 1, &kind) != RC_OK)
		return RC_INVALID;
	snprintf(w->job, sizeof(w->job), "%s", test);
	snprintf(w->target, sizeof(w->target), "%s", target);
	snprintf(w->type, sizeof(w->type), "%s", kind);
	w->is_test = true;
	w->item_json = mem_strdup(json_text(a, item));
	return RC_OK;
}

/* A disk that takes no key may still be served: deployments go on. */
static bool
is_put_off(const struct poll *p, const struct work *w)
{
	return !w->is_deployment &&
	       loop_now_ms(p->agent->loop) < p->put_off_until_ms;
}

static void
take_items(struct poll *p, struct arena *a, const struct cJSON *reply)
{
	const struct cJSON *item, *jobs = json_get(reply, "jobs");
	int64_t most = cfg_int(p->agent->cfg, "deploy_parallel");

	cJSON_ArrayForEach(item, jobs)
	{
		struct work *w;

		if (p->in_hand.n >= most)
			break;
		w = mem_zalloc(sizeof(*w));
		if (work_read(a, item, w) != RC_OK || is_put_off(p, w) ||
		    work_has_job(&p->in_hand, w->job) ||
		    has_just_ended(p, w->job)) {
			work_free(w);
			continue;
		}
		work_start(p, w);
	}
}

/* Somebody waits for each, so they wait for nothing here. */
static void
take_tests(struct poll *p, struct arena *a, const struct cJSON *reply)
{
	const struct cJSON *item, *tests = json_get(reply, "tests");

	cJSON_ArrayForEach(item, tests)
	{
		struct work *w = mem_zalloc(sizeof(*w));

		if (p->in_hand.n >= IN_HAND_MAX ||
		    test_read(a, item, w) != RC_OK)
			work_free(w);
		else
			work_start(p, w);
	}
}

/* Until so long from now, however long the question took. */
static void
pause_from_now(struct poll *p, int64_t ms)
{
	p->pause_ms = loop_now_ms(p->agent->loop) - p->asked_ms + ms;
}

/* Also when it brought work: with something listed the server does not park
 * the next question, and the end of an item asks at once. */
static void
pause_for(struct poll *p, bool is_news)
{
	int64_t pause;

	if (is_news || !p->in_hand.first)
		p->known_ms = PAUSE_MS;
	pause = rand_jitter(p->known_ms, PAUSE_JITTER_PERCENT);
	if (p->in_hand.first)
		pause_from_now(p, pause);
	else
		p->pause_ms = pause;
	p->known_ms *= 2;
	if (p->known_ms > PAUSE_MAX_MS)
		p->known_ms = PAUSE_MAX_MS;
}

static void
poll_failed(struct poll *p, const char *why)
{
	int64_t wait = call_backoff(&p->backoff_ms);

	pause_from_now(p, wait);
	log_warn("POLL-FAILED", "%s; again in %lld ms", why, (long long)wait);
}

static enum op_next
poll_answered(struct op *op)
{
	const struct call_reply *reply = call_reply(op);
	struct poll *p = agent_arg(op);
	int64_t known = p->in_hand.n;

	p->has_answer = true;
	if (p->is_stopping || p->agent->is_retired)
		return op_done(op);
	if (reply->code != RC_OK || reply->status != 200 || !reply->json) {
		poll_failed(p,
		    reply->error ? reply->error : "the answer is not JSON");
		return op_done(op);
	}
	p->backoff_ms = 0;
	take_items(p, op_arena(op), reply->json);
	take_tests(p, op_arena(op), reply->json);
	pause_for(p, p->in_hand.n > known);
	return op_done(op);
}

static enum op_next
poll_ask(struct op *op)
{
	struct poll *p = agent_arg(op);
	int64_t wait = cfg_int(p->agent->cfg, "poll_wait");

	return call_api(op, "GET",
	    op_printf(op, "/api/v1/agents/%s/work?wait=%llds&tests=1",
		p->agent->id, (long long)(wait / 1000)),
	    NULL, wait + CALL_SLACK_MS, poll_answered);
}

static void
poll_asked(struct agent *a, void *arg)
{
	struct poll *p = arg;

	p->asking = NULL;
	if (p->is_stopping || a->is_retired)
		return;
	if (!p->has_answer)
		poll_failed(p, "no answer in time");
	/* The answer may be of before that, and what follows an item comes
	 * soon after its end. */
	ask_after(p, p->is_outdated && p->backoff_ms == 0 ? 0 : p->pause_ms);
}

static void
poll_next(void *arg)
{
	struct poll *p = arg;
	int64_t limit;

	if (p->asking || p->is_stopping)
		return;
	p->has_answer = p->is_outdated = false;
	p->asked_ms = loop_now_ms(p->agent->loop);
	limit = cfg_int(p->agent->cfg, "poll_wait") + 2 * CALL_SLACK_MS;
	p->asking =
	    agent_op_start(p->agent, "poll", limit, poll_ask, p, poll_asked);
}

static size_t
resume_journals(struct poll *p)
{
	struct arena *a = arena_new();
	const char **targets = install_journal_list(p->agent, a);
	size_t n = 0;

	for (; targets[n]; n++) {
		struct install_journal j = {.job = "",
		    .certificate = "",
		    .type = ""};
		struct work *w = mem_zalloc(sizeof(*w));

		/* A bad one is told and removed by the op. */
		IGNORE_RESULT(
		    install_journal_read(p->agent, a, targets[n], &j));
		snprintf(w->job, sizeof(w->job), "%s", j.job);
		snprintf(w->certificate, sizeof(w->certificate), "%s",
		    j.certificate);
		snprintf(w->target, sizeof(w->target), "%s", targets[n]);
		snprintf(w->type, sizeof(w->type), "%s", j.type);
		w->is_deployment = true;
		w->is_resumed = true;
		work_start(p, w);
	}
	arena_free(a);
	return n;
}

struct poll *
poll_start(struct agent *a)
{
	struct poll *p = mem_zalloc(sizeof(*p));
	int64_t spread = cfg_int(a->cfg, "start_spread");

	p->agent = a;
	p->known_ms = PAUSE_MS;
	p->next = timer_new(a->loop, poll_next, p);
	if (resume_journals(p) > 0 || keystore_has_unfinished(a))
		spread = 0;
	timer_arm(p->next, spread > 0 ? rand_below((uint32_t)spread) : 0);
	return p;
}

void
poll_stop(struct poll *p)
{
	if (!p)
		return;
	p->is_stopping = true;
	timer_disarm(p->next);
	if (p->asking)
		op_abort(p->asking, RC_CANCELLED);
}

void
poll_free(struct poll *p)
{
	if (!p)
		return;
	poll_stop(p);
	while (p->in_hand.first)
		op_abort(p->in_hand.first->op, RC_CANCELLED);
	timer_free(p->next);
	free(p);
}

bool
poll_is_idle(const struct poll *p)
{
	return !p || (!p->asking && !p->in_hand.first);
}
