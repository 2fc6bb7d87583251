/*
 * POST /replacements/plan: what a replacement would do: how many certificates
 * go and how fast, when each wave ends, whether that is soon enough, and which
 * cannot go and why.  POST /replacements/plan/certificates lists those.  POST
 * /replacements begins it.
 */
#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/replacements/replacements.h"
#include "apiserver/handlers/replacements/wish.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/json/json.h"

/* More of them are told of by their number alone. */
#define WAVES_TOLD 100
#define WAVE_MAX 100000
#define WITHIN_MAX (366 * 86400)

static op_step plan_begin;
static op_step plan_surveyed;
static op_step plan_done;
static op_step excluded_begin;
static op_step excluded_done;
static op_step create_survey;
static op_step create_begin;
static op_step create_done;
static op_step created;

/* --- the bodies --- */

#define FROM_TO \
	{"from_issuer_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = 128}, \
	{ \
		"to_issuer_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, \
		    .max = 128 \
	}
#define MOVES \
	{ \
		"move_profiles", FIELD_BOOL, 0, .dflt = "false" \
	}
#define WAVE \
	{ \
		"wave_size", FIELD_INT, 0, 1, WAVE_MAX \
	}
#define REVOKES \
	{ \
		"revoke_reason", FIELD_TEXT, FIELD_EMPTY_ABSENT, \
		    .max = 32, .words = wish_reasons \
	}

static const struct field create_fields[] = {FROM_TO, WAVE, REVOKES, MOVES};
static const struct field plan_fields_in[] = {FROM_TO, WAVE, REVOKES, MOVES,
    {"within_seconds", FIELD_INT, 0, 1, WITHIN_MAX}};
static const char *const excluded_words[] = {
#define EXCLUDED(word, says) word,
#include "common/issuer/excluded.def"
#undef EXCLUDED
    NULL};
static const struct field excluded_fields_in[] = {FROM_TO, MOVES,
    {"reason", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 32,
	.words = excluded_words},
    {"after", FIELD_TEXT, FIELD_EMPTY_ABSENT | FIELD_ID, .max = WISH_ID_MAX}};

/* --- the plan --- */

enum op_next
replacement_plan(struct op *op)
{
	const char *why;
	rc ret = wish_read(op, plan_fields_in, ARRAY_LEN(plan_fields_in), &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return wish_limits(op, plan_begin);
}

static enum op_next
plan_begin(struct op *op)
{
	return wish_survey(op, plan_surveyed);
}

static enum op_next
plan_surveyed(struct op *op)
{
	const struct wish *w = op_state(op, sizeof(*w));

	return OP_QUERY(op, Q_REPLACEMENT_LANE, plan_done, w->from, w->to,
	    w->wave);
}

/* rate: in a thousand seconds. */
static int64_t
seconds_of(int64_t certificates, int64_t rate)
{
	return (certificates * 1000 + rate - 1) / rate;
}

static void
put_waves(struct json_w *w, int64_t n, int64_t size, int64_t rate)
{
	int64_t waves = (n + size - 1) / size;

	json_w_key(w, "wave_ends");
	json_w_open(w, '[');
	for (int64_t i = 1; i <= waves && i <= WAVES_TOLD; i++) {
		int64_t end = i * size < n ? i * size : n;

		json_w_open(w, '{');
		json_w_kv_int(w, "wave", i);
		json_w_kv_int(w, "certificates", end - (i - 1) * size);
		if (rate > 0)
			json_w_kv_int(w, "ends_after_seconds",
			    seconds_of(end, rate));
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

/* Of those that go at once there is nothing more to say. */
static void
put_groups(struct json_w *w, const struct wish *wish, const char *name,
    bool can_go)
{
	json_w_key(w, name);
	json_w_open(w, '[');
	for (size_t i = 0; i < wish->ngroups; i++) {
		const struct wish_group *g = &wish->groups[i];

		if (g->can_go != can_go || g->reason[0] == '\0')
			continue;
		json_w_open(w, '{');
		json_w_kv(w, "reason", g->reason);
		json_w_kv_int(w, "certificates", g->n);
		json_w_key(w, "certificate_ids");
		json_w_open(w, '[');
		for (size_t k = 0; k < g->nids; k++)
			json_w_str(w, g->ids[k]);
		json_w_close(w, ']');
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static void
put_lane(struct json_w *w, const struct db_result *lane)
{
	json_w_key(w, "lane");
	json_w_open(w, '{');
	json_w_kv_int(w, "cap", db_i64(lane, 0, db_col(lane, "cap")));
	if (!db_is_null(lane, 0, db_col(lane, "rate_per_s")))
		json_w_kv_raw(w, "rate_per_s",
		    db_text(lane, 0, db_col(lane, "rate_per_s")));
	json_w_kv(w, "breaker_state",
	    db_text(lane, 0, db_col(lane, "breaker_state")));
	json_w_close(w, '}');
}

/*
 * Whether all have their certificate in time, and what the lane would need for
 * it: turns a second, and where the CA is outside as many calls at once as that
 * takes.
 */
static void
put_deadline(struct op *op, struct json_w *w, int64_t n, int64_t rate)
{
	const struct wish *wish = op_state(op, sizeof(*wish));
	const struct db_result *lane = op_result(op, 0);
	int64_t turns = n * db_i64(lane, 0, db_col(lane, "turns"));
	int64_t call_s = db_i64(lane, 0, db_col(lane, "call_s"));
	int64_t within = wish->within_s;

	if (within == 0)
		return;
	json_w_key(w, "deadline");
	json_w_open(w, '{');
	json_w_kv_int(w, "within_seconds", within);
	json_w_kv_bool(w, "is_met",
	    n == 0 || (rate > 0 && seconds_of(n, rate) <= within));
	/* To three digits behind the point, and never too little. */
	json_w_kv_raw(w, "needs_rate_per_s",
	    op_printf(op, "%.3f",
		(double)((turns * 1000 + within - 1) / within) / 1000));
	if (strcmp(db_text(lane, 0, db_col(lane, "issuer_type")),
		"GenericCA") != 0)
		json_w_kv_int(w, "needs_cap",
		    (turns * call_s + within - 1) / within);
	json_w_close(w, '}');
}

static enum op_next
plan_done(struct op *op)
{
	const struct wish *wish = op_state(op, sizeof(*wish));
	const struct db_result *lane = op_result(op, 0);
	int64_t n = wish_count(wish, true), size, rate;
	struct json_w *w;

	if (!db_bool(lane, 0, db_col(lane, "has_from")))
		return op_fail(op, RC_NOT_FOUND,
		    "from_issuer_id names no issuer");
	if (!db_bool(lane, 0, db_col(lane, "has_to")))
		return op_fail(op, RC_NOT_FOUND,
		    "to_issuer_id names no issuer");
	if (strcmp(wish->from, wish->to) == 0)
		return op_fail(op, RC_INVALID,
		    "from_issuer_id and to_issuer_id are the same issuer");
	rate = db_i64(lane, 0, db_col(lane, "rate_ks"));
	size = db_i64(lane, 0, db_col(lane, "wave_size"));
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "from_issuer_id", wish->from);
	json_w_kv(w, "to_issuer_id", wish->to);
	if (!db_is_null(lane, 0, db_col(lane, "stop")))
		json_w_kv(w, "stop", db_text(lane, 0, db_col(lane, "stop")));
	if (!db_is_null(lane, 0, db_col(lane, "open_id")))
		json_w_kv(w, "open_id",
		    db_text(lane, 0, db_col(lane, "open_id")));
	put_lane(w, lane);
	json_w_kv_raw(w, "rate_per_s", db_text(lane, 0, db_col(lane, "rate")));
	json_w_kv_bool(w, "rate_is_lane",
	    !db_is_null(lane, 0, db_col(lane, "rate_per_s")));
	put_groups(w, wish, "waiting", true);
	put_groups(w, wish, "cannot_go", false);
	json_w_kv_int(w, "excluded", wish_count(wish, false));
	json_w_kv_int(w, "certificates", n);
	json_w_kv_int(w, "wave_size", size);
	json_w_kv_int(w, "waves", (n + size - 1) / size);
	if (rate > 0)
		json_w_kv_int(w, "seconds", seconds_of(n, rate));
	put_deadline(op, w, n, rate);
	put_waves(w, n, size, rate);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- which cannot go --- */

enum op_next
replacement_excluded(struct op *op)
{
	const char *why;
	rc ret = wish_read(op, excluded_fields_in,
	    ARRAY_LEN(excluded_fields_in), &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return wish_limits(op, excluded_begin);
}

/* Both issuers are there: the statement would find no certificate of one that
 * is not, and that would look like a good answer. */
static enum op_next
excluded_begin(struct op *op)
{
	const struct wish *w = op_state(op, sizeof(*w));
	const char *lane[] = {w->from, w->to, w->wave};
	const char *list[] = {w->from, w->to, w->moves_profiles, w->limits,
	    w->after, w->excluded};
	const struct db_stmt stmts[] = {
	    {Q_REPLACEMENT_LANE, ARRAY_LEN(lane), lane},
	    {Q_REPLACEMENT_EXCLUDED, ARRAY_LEN(list), list},
	};

	return op_batch(op, excluded_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
excluded_done(struct op *op)
{
	const struct db_result *lane = op_result(op, 0);
	const struct db_result *list = op_result(op, 1);
	size_t n = db_nrows(list) - 1; /* the last is of no certificate */
	int id = db_col(list, "id"), reason = db_col(list, "reason");
	int last = db_col(list, "last");
	struct json_w *w;

	if (!db_bool(lane, 0, db_col(lane, "has_from")))
		return op_fail(op, RC_NOT_FOUND,
		    "from_issuer_id names no issuer");
	if (!db_bool(lane, 0, db_col(lane, "has_to")))
		return op_fail(op, RC_NOT_FOUND,
		    "to_issuer_id names no issuer");
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_key(w, "data");
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++) {
		json_w_open(w, '{');
		json_w_kv(w, "id", db_text(list, i, id));
		json_w_kv(w, "reason", db_text(list, i, reason));
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
	if (!db_is_null(list, n, last))
		json_w_kv(w, "after", db_text(list, n, last));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- beginning --- */

enum op_next
replacement_create(struct op *op)
{
	const char *why;
	rc ret = wish_read(op, create_fields, ARRAY_LEN(create_fields), &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return wish_limits(op, create_survey);
}

static enum op_next
create_survey(struct op *op)
{
	return wish_survey(op, create_begin);
}

static enum op_next
create_begin(struct op *op)
{
	const struct wish *w = op_state(op, sizeof(*w));

	return OP_QUERY(op, Q_REPLACEMENT_BEGIN, create_done, w->from, w->to,
	    w->wave, w->reason, w->moves_profiles,
	    page_num(op, wish_count(w, true)), w->limits, page_actor(op),
	    req_actor_type(op));
}

static enum op_next
create_done(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"no_from", RC_NOT_FOUND, "from_issuer_id names no issuer"},
	    {"no_to", RC_NOT_FOUND, "to_issuer_id names no issuer"},
	    {"same", RC_INVALID,
		"from_issuer_id and to_issuer_id are the same issuer"},
	    {"open", RC_CONFLICT,
		"certificates of this issuer leave for another already: "
		"replacement ",
		"id"},
	    {"issuer_disabled", RC_CONFLICT,
		"the issuer they are to have is disabled; enable it first"},
	    {"lane_closed", RC_CONFLICT,
		"the lane of the issuer they are to have is closed: its cap "
		"is 0"},
	    {"ca_ended", RC_CONFLICT,
		"the CA of the issuer they are to have has ended, or is about "
		"to"},
	};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	return OP_QUERY(op, Q_REPLACEMENT_GET, created, op_text(op, 0, "id"));
}

static enum op_next
created(struct op *op)
{
	return page_reply_one(op, 201, replacement_fields, replacement_nfields);
}

/* --- what the document says of it --- */

static const struct field plan_fields[] = {
    {"from_issuer_id", FIELD_TEXT},
    {"to_issuer_id", FIELD_TEXT},
    {"stop", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"open_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"lane", FIELD_OBJECT},
    {"rate_per_s", FIELD_NUMBER},
    {"rate_is_lane", FIELD_BOOL},
    {"waiting", FIELD_OBJECTS},
    {"cannot_go", FIELD_OBJECTS},
    {"excluded", FIELD_INT},
    {"certificates", FIELD_INT},
    {"wave_size", FIELD_INT},
    {"waves", FIELD_INT},
    {"seconds", FIELD_INT, FIELD_OMIT_EMPTY},
    {"deadline", FIELD_OBJECT, FIELD_OMIT_EMPTY},
    {"wave_ends", FIELD_OBJECTS},
};

static const struct field excluded_fields[] = {
    {"id", FIELD_TEXT},
    {"reason", FIELD_TEXT},
};

/* Where the next piece begins. */
static const struct field after_field[] = {
    {"after", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

const struct shape shape_replacement_excluded = {
    .does = "List the certificates that a replacement could not take",
    .has_body = true,
    .body = {SHAPE_TABLE(excluded_fields_in)},
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(excluded_fields),
    .more_fields = SHAPE_TABLE(after_field),
};
const struct shape shape_replacement_plan = {
    .does = "Plan the replacement of an issuer by another",
    .has_body = true,
    .body = {SHAPE_TABLE(plan_fields_in)},
    .fields = SHAPE_TABLE(plan_fields),
};
const struct shape shape_replacement_create = {
    .does = "Begin the replacement of an issuer by another",
    .has_body = true,
    .body = {SHAPE_TABLE(create_fields)},
    .status = 201,
    .fields = SHAPE_TABLE_OF(replacement_fields, replacement_nfields),
};
