/*
 * GET /events: what changes, as it changes.
 *
 * A listener asks its key and permissions (check), finds its place: what
 * comes from now on, or what came since Last-Event-ID, out of memory or read
 * from the database (catch_up), and then sends what the eventlog has (more).
 * Each round is behind op_mark, so that a stream of weeks keeps no memory.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/handlers/events/events.h"
#include "apiserver/live/eventlog.h"
#include "apiserver/live/listener.h"
#include "apiserver/policy/auth.h"
#include "apiserver/policy/authz.h"
#include "apiserver/resources/shape.h"
#include "common/base/enc.h"

enum {
	BEAT_MS = 15000,
	/* A key that ends by the clock is noticed by then; one that was
	 * revoked by its event. */
	CHECK_MS = 30000,
	READY_MS = 5000, /* for the first look */
	STEP_MS = 60000, /* for one round */
	PIECE_MAX = 64 * 1024,
	FOR_MAX_MS = 86400000,
};

#define RETRY_TEXT "retry: 2000\n"
#define CATCH_UP_ROWS "500"
#define CATCH_UP_N 500

struct stream {
	struct event_filter filter;
	struct listener *listener;
	struct json_w *w; /* its buffer is the answer */
	unsigned allowed; /* kinds */
	bool has_begun;   /* the answer */
	bool is_placed;   /* the listener */
	bool resumes;
	bool is_limited;          /* ends at until_ms */
	struct event_place place; /* to go on behind, until it is placed */
	int64_t beat_ms, check_ms, until_ms, ready_ms;
};

static op_step check;
static op_step key_known;
static op_step permissions_known;
static op_step place_it;
static op_step caught_up;
static op_step more;
static op_step check_failed;

static struct stream *
stream_of(struct op *op)
{
	return op_state(op, sizeof(struct stream));
}

/* --- what is asked --- */

/* NULL, or the name of a parameter that there is not. */
static const char *
unknown_query(struct op *op)
{
	const struct request *r = op_owner(op);

	for (size_t i = 0; i < r->path.nquery; i++) {
		if (!shape_has_query(r->match.shape, r->path.query[i].name))
			return r->path.query[i].name;
	}
	return NULL;
}

/* Where it goes on: the header of a client that comes back, or the query of
 * one that begins. */
static rc
read_place(struct op *op, struct stream *s)
{
	const char *text = req_header(op, "Last-Event-ID");

	if (!text || !*text)
		text = req_query(op, "last_event_id");
	if (!text)
		return RC_OK;
	s->resumes = true;
	return event_place_read(text, &s->place);
}

static rc
read_limit(struct op *op, struct stream *s)
{
	const char *text = req_query(op, "for");
	int64_t ms;
	rc ret;

	if (!text)
		return req_has_query(op, "for") ? RC_INVALID : RC_OK;
	ret = enc_parse_duration_ms(text, &ms);
	if (ret != RC_OK || ms < 0 || ms > FOR_MAX_MS)
		return RC_INVALID;
	s->is_limited = true;
	s->until_ms = loop_now_ms(op_loop(op)) + ms;
	return RC_OK;
}

enum op_next
events_start(struct op *op)
{
	struct stream *s = stream_of(op);
	const char *why = unknown_query(op);
	rc ret;

	if (why)
		return op_fail(op, RC_INVALID,
		    "there is no filter \"%s\"; see docs/reference/events.md",
		    why);
	ret = event_filter_read(op_arena(op),
	    &((struct request *)op_owner(op))->path, &s->filter, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = read_place(op, s);
	if (ret != RC_OK)
		return op_fail(op, ret,
		    "Last-Event-ID must be the id of an event as it was sent");
	ret = read_limit(op, s);
	if (ret != RC_OK)
		return op_fail(op, ret,
		    "for must be a duration up to 24h, such as 30s");
	return check(op);
}

/* --- may they, still? --- */

static enum op_next
end_stream(struct op *op, const char *why)
{
	struct stream *s = stream_of(op);

	buf_printf(s->w->b, ": %s\n\n", why);
	return reply_end(op);
}

static enum op_next
refuse(struct op *op, rc code, const char *why)
{
	return stream_of(op)->has_begun ? end_stream(op, why)
					: req_refuse(op, code, why);
}

/* Kinds that the listener's permissions let it see.  RC_BUSY: the database has
 * to be asked. */
static rc
find_allowed(const struct request *r, unsigned *out)
{
	static const char *const permissions[EVENT_NKINDS] = {
	    [EVENT_AGENT] = "agent.read",
	    [EVENT_CERTIFICATE] = "cert.read",
	    [EVENT_CONDITION] = "metrics.read",
	    [EVENT_DEPLOYMENT] = "cert.read",
	    [EVENT_DUTY] = "metrics.read",
	    [EVENT_HEALTH_CHECK] = "healthcheck.read",
	    [EVENT_JOB] = "job.read",
	    [EVENT_REPLACEMENT] = "cert.read",
	};
	unsigned allowed = 0;

	for (size_t i = 0; i < EVENT_NKINDS; i++) {
		rc ret = authz_check(r->api->authz, &r->principal,
		    permissions[i], NULL, NULL);

		if (ret == RC_BUSY)
			return ret;
		if (ret == RC_OK)
			allowed |= 1U << i;
	}
	*out = allowed;
	return RC_OK;
}

static enum op_next
join(struct op *op)
{
	struct stream *s = stream_of(op);
	bool wants_conditions =
	    (s->filter.kinds & s->allowed & 1U << EVENT_CONDITION) != 0;
	const char *why;
	rc ret = eventlog_join(req_api(op)->events, op, req_principal(op)->id,
	    wants_conditions, &s->listener, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	s->ready_ms = loop_now_ms(op_loop(op)) + READY_MS;
	return place_it(op);
}

static enum op_next
allowed_known(struct op *op)
{
	struct stream *s = stream_of(op);
	unsigned asked = s->filter.kinds;

	if ((asked & s->allowed) == 0 ||
	    (s->filter.says_kinds && (asked & ~s->allowed) != 0))
		return refuse(op, RC_FORBIDDEN,
		    "the key's roles do not let it see these kinds of events");
	s->check_ms = loop_now_ms(op_loop(op)) + CHECK_MS;
	if (!s->listener)
		return join(op);
	return s->is_placed ? more(op) : place_it(op);
}

static enum op_next
check_permissions(struct op *op)
{
	struct request *r = op_owner(op);
	struct authz_actor actor;
	rc ret = find_allowed(r, &stream_of(op)->allowed);

	if (ret == RC_OK)
		return allowed_known(op);
	authz_actor(&r->principal, &actor);
	r->changes = authz_changes(r->api->authz);
	op_catch(op, check_failed);
	return OP_QUERY(op, Q_AUTHZ_PERMISSIONS, permissions_known, actor.id,
	    actor.type, actor.fallback_role);
}

static enum op_next
permissions_known(struct op *op)
{
	struct request *r = op_owner(op);

	authz_learn(r->api->authz, &r->principal, op_result(op, 0), r->changes);
	return check_permissions(op);
}

static enum op_next
check(struct op *op)
{
	struct request *r = op_owner(op);
	struct auth_found found;
	rc ret = auth_find(r->api->auth, &r->credential, &found);

	if (ret == RC_BUSY) {
		r->changes = auth_changes(r->api->auth);
		op_catch(op, check_failed);
		return OP_QUERY(op, Q_AUTH_BY_HASH, key_known,
		    r->credential.hash);
	}
	if (ret != RC_OK || found.principal.kind != r->principal.kind ||
	    strcmp(found.principal.id, r->principal.id) != 0)
		return refuse(op, RC_UNAUTHENTICATED,
		    "the key is not good any more");
	r->principal.is_admin = found.principal.is_admin;
	return check_permissions(op);
}

static enum op_next
key_known(struct op *op)
{
	struct request *r = op_owner(op);

	auth_learn(r->api->auth, &r->credential, op_result(op, 0), r->changes);
	return check(op);
}

/* Who can't be asked for is sent nothing more; the client comes back. */
static enum op_next
check_failed(struct op *op)
{
	const struct db_error *e = NULL;
	rc ret = op_caught(op, &e);

	return stream_of(op)->has_begun
		   ? end_stream(op, "the database does not answer; come back")
		   : op_fail(op, ret, "%s", "");
}

/* --- the answer --- */

/* Its place stands in front of all, so that a client that is cut before its
 * first event goes on from there. */
static void
put_place(struct stream *s, const struct event_place *place)
{
	char id[EVENT_PLACE_MAX];

	event_place_text(place, id);
	buf_puts(s->w->b, "id: ");
	buf_puts(s->w->b, id);
	buf_puts(s->w->b, "\n\n");
}

static void
begin_answer(struct op *op)
{
	struct stream *s = stream_of(op);

	if (s->has_begun)
		return;
	s->has_begun = true;
	((struct request *)op_owner(op))->is_stream = true;
	/* A proxy that gathers answers would hold events back. */
	reply_header(op, "X-Accel-Buffering", "no");
	s->w = reply_begin(op, 200, "text/event-stream");
	op_mark(op);
	buf_puts(s->w->b, RETRY_TEXT);
}

static void
put_event(struct stream *s, const struct event *e)
{
	buf_add(s->w->b, e->text, e->len);
}

static enum op_next
send_piece(struct op *op, size_t nevents, op_step *next)
{
	struct stream *s = stream_of(op);

	s->beat_ms = loop_now_ms(op_loop(op)) + BEAT_MS;
	listener_sends(s->listener, nevents);
	return reply_piece(op, next);
}

/* --- the place --- */

static enum op_next
placed(struct op *op)
{
	struct stream *s = stream_of(op);
	struct event_place place;

	s->is_placed = true;
	begin_answer(op);
	listener_place(s->listener, &place);
	put_place(s, &place);
	return send_piece(op, 0, more);
}

static enum op_next
catch_up(struct op *op)
{
	const struct stream *s = stream_of(op);
	const char *seq = s->place.seq == EVENT_SEQ_ALL
			      ? NULL
			      : op_printf(op, "%" PRId64, s->place.seq);

	op_extend(op, STEP_MS);
	op_catch(op, check_failed);
	return OP_QUERY(op, Q_EVENTS_LOOK, caught_up,
	    op_printf(op, "%" PRId64, s->place.batch),
	    op_printf(op, "%" PRIu32, s->place.mark), seq, CATCH_UP_ROWS);
}

/* From the beginning, and whenever a key was asked for in between. */
static enum op_next
place_it(struct op *op)
{
	struct stream *s = stream_of(op);
	int64_t left = s->ready_ms - loop_now_ms(op_loop(op));

	if (s->resumes && s->has_begun)
		return catch_up(op);
	if (!listener_is_ready(s->listener)) {
		if (eventlog_is_stopping(req_api(op)->events) || left <= 0)
			return op_fail(op, RC_UNAVAILABLE, "%s", "");
		return listener_wait(s->listener, left, place_it);
	}
	if (!s->resumes) {
		listener_begin(s->listener);
		return placed(op);
	}
	if (listener_seek(s->listener, &s->place) == RC_OK)
		return placed(op);
	return catch_up(op);
}

/* The events of a page; whether one of them ends it: a key or role changed. */
static size_t
put_rows(struct op *op, struct stream *s, size_t n)
{
	size_t nsent = 0;

	for (size_t i = 0; i < n; i++) {
		struct event *e = event_of_row(op_result(op, 0), i);

		if (event_filter_has(&s->filter, s->allowed, e)) {
			put_event(s, e);
			nsent++;
		}
		s->place = e->place;
		free(e);
	}
	return nsent;
}

static enum op_next
caught_up(struct op *op)
{
	struct stream *s = stream_of(op);
	size_t n = op_rows(op) - 1, nsent = 0;
	struct event_place head = {op_i64(op, n, "batch"),
	    (uint32_t)op_i64(op, n, "mark"), EVENT_SEQ_ALL};
	rc ret;

	begin_answer(op);
	if (strcmp(op_text(op, n, "outcome"), "ok") != 0) {
		struct event *e = event_reset(&head);

		put_event(s, e);
		free(e);
		s->place = head;
	} else {
		nsent = put_rows(op, s, n);
		if (n < CATCH_UP_N)
			s->place = head;
	}
	ret = listener_go_on(s->listener, &s->place);
	s->is_placed = ret == RC_OK;
	put_place(s, &s->place);
	op_rewind(op);
	/* Behind each page its key is asked for again: what it may see is
	 * what it may see now. */
	return send_piece(op, nsent, s->is_placed ? more : check);
}

/* --- and on --- */

static bool
is_over(struct op *op, const struct stream *s)
{
	return s->is_limited && loop_now_ms(op_loop(op)) >= s->until_ms;
}

/* Puts what there is, a piece's worth.  *out_must_check: a key or a role
 * changed, and nothing behind that is put before it was asked for. */
static size_t
put_next(struct stream *s, bool *out_must_check)
{
	const struct event *e;
	size_t n = 0;

	while (s->w->b->len < PIECE_MAX &&
	       (e = listener_next(s->listener)) != NULL) {
		*out_must_check = e->kind == EVENT_ACCESS;
		if (event_filter_has(&s->filter, s->allowed, e)) {
			put_event(s, e);
			n++;
		}
		listener_pass(s->listener);
		if (*out_must_check)
			break;
	}
	return n;
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until there is an event, or it is time for something else. */
static enum op_next
wait_for_more(struct op *op, struct stream *s)
{
	int64_t now = loop_now_ms(op_loop(op));
	int64_t until = least(s->beat_ms, s->check_ms);

	if (s->is_limited)
		until = least(until, s->until_ms);
	op_extend(op, until - now + STEP_MS);
	return listener_wait(s->listener, until > now ? until - now : 0, more);
}

/* Says where the stream is, so that who sees few events needs not go far back
 * when it returns. */
static enum op_next
beat(struct op *op, struct stream *s)
{
	struct event_place place;

	listener_place(s->listener, &place);
	buf_puts(s->w->b, ": beat\n");
	put_place(s, &place);
	return send_piece(op, 0, more);
}

static enum op_next
more(struct op *op)
{
	struct stream *s = stream_of(op);
	int64_t now = loop_now_ms(op_loop(op));
	bool must_check = false;
	size_t n;

	op_rewind(op);
	op_extend(op, STEP_MS);
	listener_sent(s->listener);
	if (eventlog_is_stopping(req_api(op)->events))
		return end_stream(op, "this server stops; come back");
	if (now >= s->check_ms || listener_must_check(s->listener))
		return check(op);
	n = put_next(s, &must_check);
	if (listener_is_dropped(s->listener))
		return op_fail(op, RC_TIMEOUT, "%s", "");
	if (must_check)
		s->check_ms = now; /* behind what is sent */
	if (n > 0)
		return send_piece(op, n, more);
	if (must_check)
		return op_goto(op, check); /* there may be many in a row */
	if (is_over(op, s))
		return end_stream(op, "the time that was asked for is over");
	if (now >= s->beat_ms)
		return beat(op, s);
	return wait_for_more(op, s);
}

/* --- what the document says of it --- */

static const struct field events_query[] = {
    {"kind", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
    {"agent_id", FIELD_TEXT},
    {"job_id", FIELD_TEXT},
    {"issuer_id", FIELD_TEXT},
    {"team_id", FIELD_TEXT},
    {"target_id", FIELD_TEXT},
    {"condition", FIELD_TEXT},
    {"replacement_id", FIELD_TEXT},
    {"health_check_id", FIELD_TEXT},
    {"duty", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"last_event_id", FIELD_TEXT},
    {"for", FIELD_TEXT},
};

const struct shape shape_events_start = {
    .does = "Listen to what changes, as server-sent events",
    .query = events_query,
    .nquery = ARRAY_LEN(events_query),
    .answer = SHAPE_BYTES,
    .content_type = "text/event-stream",
};
