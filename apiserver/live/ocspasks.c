#include "apiserver/live/ocspasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/json/json.h"

enum {
	IN_FLIGHT_MAX = 2,
	BATCH_MAX = 512, /* requests */
	ASKS_MAX = 20000,
	LOOK_MS = 250,
	/* Past the patience of who asked. */
	FORGET_MS = 15000,
	ID_MAX = 64,
	EVENT_IDS_MAX = 1000,
};

static const char hint[] = "{\"jobs\":0,\"issuers\":[],\"agents\":[]}";

STAILQ_HEAD(ask_list, ocspask);

struct ocspask {
	STAILQ_ENTRY(ocspask) entry;
	struct ocspasks *owner;
	struct op *op;       /* NULL once the request is gone */
	struct batch *batch; /* NULL: in the queue, or it is over */
	bool is_queued;
	/* The texts live in the op's arena. */
	const char *issuer, *nonce;
	const struct ocspask_cert *certs;
	size_t n;
	const struct ocsp_answer *answer;
};

struct batch {
	struct ocspasks *owner;
	char id[ID_MAX + 1]; /* "" until the database said it */
	int64_t asked_ms;
	struct db_req *req;
	size_t n;
	struct ocspask *asks[BATCH_MAX];
};

struct ocspasks {
	struct api *api;
	struct ask_list queue;
	size_t nasks;
	bool is_pumping; /* pump runs on the next turn */
	bool is_asking;  /* a batch is being put down */
	bool is_wanted;  /* a look, once the one under way is over */
	struct batch *in_flight[IN_FLIGHT_MAX];
	struct db_req *look;
	struct timer *tick;
	uint64_t counts[OCSP_NCOUNTS];
};

static void on_tick(void *arg);
static void pump_later(struct ocspasks *s);

struct ocspasks *
ocspasks_new(struct api *api)
{
	struct ocspasks *s = mem_zalloc(sizeof(*s));

	s->api = api;
	STAILQ_INIT(&s->queue);
	s->tick = timer_new(api->loop, on_tick, s);
	return s;
}

/* --- the end of asks and batches --- */

static void
free_ask(struct ocspask *ask)
{
	ask->owner->nasks--;
	free(ask);
}

/* The op's arena ends; the ask's texts go with it. */
static void
end_ask(void *arg)
{
	struct ocspask *ask = arg;

	if (ask->is_queued)
		STAILQ_REMOVE(&ask->owner->queue, ask, ocspask, entry);
	ask->is_queued = false;
	ask->op = NULL;
	if (!ask->batch)
		free_ask(ask);
}

/* Whoever has no answer yet gets none. */
static void
end_batch(struct batch *b)
{
	struct ocspasks *s = b->owner;

	for (size_t i = 0; i < b->n; i++) {
		struct ocspask *ask = b->asks[i];

		ask->batch = NULL;
		if (ask->op)
			op_wake(ask->op);
		else
			free_ask(ask);
	}
	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		if (s->in_flight[i] == b)
			s->in_flight[i] = NULL;
	}
	if (b->req)
		s->is_asking = false;
	db_forget(b->req);
	free(b);
	if (!STAILQ_EMPTY(&s->queue))
		pump_later(s);
}

void
ocspasks_free(struct ocspasks *s)
{
	if (!s)
		return;
	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		if (s->in_flight[i])
			end_batch(s->in_flight[i]);
	}
	db_forget(s->look);
	timer_free(s->tick);
	free(s);
}

/* --- asking --- */

static void
on_asked(void *arg, struct db_outcome *o)
{
	struct batch *b = arg;
	const struct db_result *r;

	b->req = NULL;
	b->owner->is_asking = false;
	if (!STAILQ_EMPTY(&b->owner->queue))
		pump_later(b->owner);
	if (o->code != RC_OK) {
		end_batch(b);
		return;
	}
	r = o->results[0];
	(void)snprintf(b->id, sizeof(b->id), "%s",
	    db_text(r, 0, db_col(r, "id")));
	api_hint(b->owner->api, hint, sizeof(hint) - 1);
	if (!timer_is_armed(b->owner->tick))
		timer_arm(b->owner->tick, LOOK_MS);
}

/* One row a certificate, those of a request one behind the other. */
static void
send_batch(struct batch *b)
{
	struct arena *a = arena_new();
	size_t rows = 0, at = 0;
	const char **issuers, **serials, **cert_ids, **nonces, *params[5];
	struct db_stmt stmt = {Q_OCSP_ASK, ARRAY_LEN(params), params};
	int64_t *requests;

	for (size_t i = 0; i < b->n; i++)
		rows += b->asks[i]->n;
	requests = arena_alloc(a, rows * sizeof(*requests));
	issuers = arena_alloc(a, rows * sizeof(*issuers));
	serials = arena_alloc(a, rows * sizeof(*serials));
	cert_ids = arena_alloc(a, rows * sizeof(*cert_ids));
	nonces = arena_alloc(a, rows * sizeof(*nonces));
	for (size_t i = 0; i < b->n; i++) {
		const struct ocspask *ask = b->asks[i];

		for (size_t c = 0; c < ask->n; c++, at++) {
			requests[at] = (int64_t)i + 1;
			issuers[at] = ask->issuer;
			serials[at] = ask->certs[c].serial_hex;
			cert_ids[at] = ask->certs[c].cert_id;
			nonces[at] = ask->nonce;
		}
	}
	params[0] = db_i64_array(a, requests, rows);
	params[1] = db_text_array(a, issuers, rows);
	params[2] = db_text_array(a, serials, rows);
	params[3] = db_text_array(a, cert_ids, rows);
	params[4] = db_text_array(a, nonces, rows);
	b->asked_ms = loop_now_ms(b->owner->api->loop);
	b->req = db_submit(b->owner->api->pool, &stmt, 1, on_asked, b);
	arena_free(a);
}

static struct batch *
make_batch(struct ocspasks *s)
{
	struct batch *b = mem_zalloc(sizeof(*b));
	struct ocspask *ask;

	b->owner = s;
	while (b->n < BATCH_MAX && (ask = STAILQ_FIRST(&s->queue))) {
		STAILQ_REMOVE_HEAD(&s->queue, entry);
		ask->is_queued = false;
		ask->batch = b;
		b->asks[b->n++] = ask;
	}
	return b;
}

/* One is put down after the other: the scheduler hands tasks out in the order
 * of their time, and finds one that comes late behind that a second later. */
static void
pump(void *arg)
{
	struct ocspasks *s = arg;

	s->is_pumping = false;
	for (int i = 0;
	     i < IN_FLIGHT_MAX && !STAILQ_EMPTY(&s->queue) && !s->is_asking;
	     i++) {
		if (s->in_flight[i])
			continue;
		s->in_flight[i] = make_batch(s);
		s->is_asking = true;
		send_batch(s->in_flight[i]);
	}
}

/* On the next turn, so that all that this turn reads goes together. */
static void
pump_later(struct ocspasks *s)
{
	if (s->is_pumping)
		return;
	s->is_pumping = true;
	loop_defer(s->api->loop, pump, s);
}

/* --- answers --- */

static struct batch *
find_batch(struct ocspasks *s, const char *id)
{
	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		if (s->in_flight[i] && strcmp(s->in_flight[i]->id, id) == 0)
			return s->in_flight[i];
	}
	return NULL;
}

/* The op's own copy. */
static void
take_answer(struct ocspask *ask, const struct ocsp_answer *given)
{
	struct ocsp_answer *answer;
	struct arena *a;
	uint8_t *der;

	if (!ask->op)
		return;
	a = op_arena(ask->op);
	answer = arena_alloc(a, sizeof(*answer));
	der = arena_alloc(a, given->der.len + 1);
	if (given->der.len > 0)
		memcpy(der, given->der.p, given->der.len);
	*answer = (struct ocsp_answer){
	    .outcome = arena_strdup(a, given->outcome),
	    .der = {der, given->der.len},
	    .left_s = given->left_s,
	};
	ask->answer = answer;
}

/* Octets that nobody wrote so answer nothing. */
static void
take_answers(struct batch *b, const char *hex)
{
	struct arena *a = arena_new();
	const struct ocsp_answer *answers;
	size_t len = strlen(hex) / 2, n = 0;
	uint8_t *octets = arena_alloc(a, len + 1);
	rc ret;

	ret = enc_unhex(hex, octets, len);
	if (ret == RC_OK)
		ret = ocsp_answers_read(a, (struct span){octets, len}, &answers,
		    &n);
	for (size_t i = 0; ret == RC_OK && i < n && i < b->n; i++)
		take_answer(b->asks[i], &answers[i]);
	arena_free(a);
}

static void look(struct ocspasks *s);

static void
on_looked(void *arg, struct db_outcome *o)
{
	struct ocspasks *s = arg;
	const struct db_result *r;
	struct batch *b;

	s->look = NULL;
	if (o->code != RC_OK)
		return; /* the pool logged it; the next look comes soon */
	r = o->results[0];
	for (size_t i = 0; i < db_nrows(r); i++) {
		b = find_batch(s, db_text(r, i, db_col(r, "id")));
		if (!b)
			continue;
		take_answers(b, db_text(r, i, db_col(r, "answers")));
		end_batch(b);
	}
	if (s->is_wanted)
		look(s);
}

/* Fetches what is signed of all that is under way. */
static void
look(struct ocspasks *s)
{
	const char *ids[IN_FLIGHT_MAX], *param;
	struct arena *a;
	size_t n = 0;

	if (s->look) {
		s->is_wanted = true;
		return;
	}
	s->is_wanted = false;
	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		if (s->in_flight[i] && s->in_flight[i]->id[0])
			ids[n++] = s->in_flight[i]->id;
	}
	if (n == 0)
		return;
	a = arena_new();
	param = db_text_array(a, ids, n);
	s->look = db_submit(s->api->pool,
	    &(struct db_stmt){Q_OCSP_ANSWERS, 1, &param}, 1, on_looked, s);
	arena_free(a);
}

static void
on_forgotten(void *arg, struct db_outcome *o)
{
}

static void
forget_batch(struct batch *b)
{
	const char *id = b->id;

	/* What a failure of this leaves goes by a duty. */
	(void)db_submit(b->owner->api->pool,
	    &(struct db_stmt){Q_OCSP_FORGET, 1, &id}, 1, on_forgotten, NULL);
	end_batch(b);
}

static void
on_tick(void *arg)
{
	struct ocspasks *s = arg;
	int64_t now = loop_now_ms(s->api->loop);
	bool is_any = false;

	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		struct batch *b = s->in_flight[i];

		if (b && b->id[0] && now - b->asked_ms >= FORGET_MS)
			forget_batch(b);
		is_any = is_any || s->in_flight[i];
	}
	if (!is_any)
		return;
	timer_arm(s->tick, LOOK_MS);
	look(s);
}

void
ocspasks_on_event(struct ocspasks *s, const char *body, size_t len)
{
	const struct cJSON *event;
	struct arena *a;
	const char *why, **ids;
	size_t n;
	rc ret;

	if (s->nasks == 0)
		return;
	a = arena_new();
	ret = json_parse(a, body, len, &event, &why);
	if (ret == RC_OK)
		ret = json_str_list(a, event, "ocsp", EVENT_IDS_MAX, ID_MAX,
		    &ids, &n);
	for (size_t i = 0; ret == RC_OK && i < n; i++) {
		if (find_batch(s, ids[i])) {
			look(s);
			break;
		}
	}
	arena_free(a);
}

/* --- the request's side --- */

struct ocspask *
ocspasks_add(struct ocspasks *s, struct op *op, const char *issuer,
    const struct ocspask_cert *certs, size_t n, const char *nonce)
{
	struct ocspask *ask;

	if (s->nasks >= ASKS_MAX)
		return NULL;
	ask = mem_zalloc(sizeof(*ask));
	ask->owner = s;
	ask->op = op;
	ask->issuer = issuer;
	ask->certs = certs;
	ask->n = n;
	ask->nonce = nonce;
	ask->is_queued = true;
	s->nasks++;
	STAILQ_INSERT_TAIL(&s->queue, ask, entry);
	arena_defer(op_arena(op), end_ask, ask);
	pump_later(s);
	return ask;
}

const struct ocsp_answer *
ocspask_answer(const struct ocspask *ask)
{
	return ask->answer;
}

/* --- counts --- */

void
ocspasks_count(struct ocspasks *s, enum ocsp_count what)
{
	s->counts[what]++;
}

uint64_t
ocspasks_counted(const struct ocspasks *s, enum ocsp_count what)
{
	return s->counts[what];
}

const char *
ocspasks_label(enum ocsp_count what)
{
	static const char *const labels[] = {
#define X(name, label) label,
	    OCSP_COUNTS(X)
#undef X
	};

	return labels[what];
}
