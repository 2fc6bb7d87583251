/*
 * POST /replacements/plan: what a replacement would do: how many certificates
 * go and how fast, when each wave ends, and which cannot go and why.  POST
 * /replacements begins it.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/replacements/replacements.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/json/json.h"

/* More of them are told of by their number alone. */
#define WAVES_TOLD 100
#define WAVE_MAX 100000

static op_step plan_done;
static op_step create_done;
static op_step created;

/* --- the body --- */

static const char *const reasons[] = {"unspecified", "keyCompromise",
    "caCompromise", "affiliationChanged", "superseded", "cessationOfOperation",
    "privilegeWithdrawn", NULL};

static const struct field body_fields[] = {
    {"from_issuer_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = 128},
    {"to_issuer_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = 128},
    {"wave_size", FIELD_INT, 0, 1, WAVE_MAX},
    {"revoke_reason", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 32,
	.words = reasons},
    {"move_profiles", FIELD_BOOL, 0, .dflt = "false"},
};

struct wish {
	const char *from, *to;
	const char *wave;   /* NULL: by the lane */
	const char *reason; /* of what is revoked; NULL: nothing is */
	const char *moves_profiles;
};

static rc
read_wish(struct op *op, struct wish *out, const char **out_why)
{
	struct arena *a = op_arena(op);
	const struct cJSON *body, *checked;
	bool moves = false;
	int64_t wave = 0;
	const char *text;
	rc ret;

	ret = req_json(op, false, &body, out_why);
	if (ret == RC_OK)
		ret = field_read(a, body_fields, ARRAY_LEN(body_fields), body,
		    true, &text, out_why);
	if (ret == RC_OK)
		ret = json_parse(a, text, strlen(text), &checked, out_why);
	if (ret != RC_OK)
		return ret;
	*out = (struct wish){0};
	IGNORE_RESULT(json_str(checked, "from_issuer_id", 128, &out->from));
	IGNORE_RESULT(json_str(checked, "to_issuer_id", 128, &out->to));
	IGNORE_RESULT(json_str(checked, "revoke_reason", 32, &out->reason));
	IGNORE_RESULT(json_bool(checked, "move_profiles", &moves));
	out->moves_profiles = moves ? "t" : "f";
	if (json_int(checked, "wave_size", 1, WAVE_MAX, &wave) == RC_OK)
		out->wave = page_num(op, wave);
	return RC_OK;
}

/* --- the plan --- */

enum op_next
replacement_plan(struct op *op)
{
	struct wish *w = op_state(op, sizeof(*w));
	const char *why;
	rc ret = read_wish(op, w, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);

	const char *lane[] = {w->from, w->to, w->wave};
	const char *plan[] = {w->from, w->to, w->moves_profiles};
	const struct db_stmt stmts[] = {
	    {Q_REPLACEMENT_LANE, ARRAY_LEN(lane), lane},
	    {Q_REPLACEMENT_PLAN, ARRAY_LEN(plan), plan},
	};

	return op_batch(op, plan_done, ARRAY_LEN(stmts), stmts);
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
static int64_t
put_groups(struct op *op, struct json_w *w, const char *name, bool can_go)
{
	const struct db_result *res = op_result(op, 1);
	int64_t n = 0;

	json_w_key(w, name);
	json_w_open(w, '[');
	for (size_t i = 0; i < db_nrows(res); i++) {
		if (db_bool(res, i, db_col(res, "can_go")) != can_go)
			continue;
		n += db_i64(res, i, db_col(res, "n"));
		if (db_is_null(res, i, db_col(res, "reason")))
			continue;
		json_w_open(w, '{');
		json_w_kv(w, "reason", db_text(res, i, db_col(res, "reason")));
		json_w_kv_int(w, "certificates",
		    db_i64(res, i, db_col(res, "n")));
		json_w_kv_raw(w, "certificate_ids",
		    db_text(res, i, db_col(res, "certificate_ids")));
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
	return n;
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

static enum op_next
plan_done(struct op *op)
{
	const struct wish *wish = op_state(op, sizeof(*wish));
	const struct db_result *lane = op_result(op, 0);
	struct json_w *w;
	int64_t n, size, rate;

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
	n = put_groups(op, w, "waiting", true);
	json_w_kv_int(w, "excluded", put_groups(op, w, "cannot_go", false));
	json_w_kv_int(w, "certificates", n);
	json_w_kv_int(w, "wave_size", size);
	json_w_kv_int(w, "waves", (n + size - 1) / size);
	if (rate > 0)
		json_w_kv_int(w, "seconds", seconds_of(n, rate));
	put_waves(w, n, size, rate);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- beginning --- */

enum op_next
replacement_create(struct op *op)
{
	struct wish *w = op_state(op, sizeof(*w));
	const char *why;
	rc ret = read_wish(op, w, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_REPLACEMENT_BEGIN, create_done, w->from, w->to,
	    w->wave, w->reason, w->moves_profiles, page_actor(op),
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
    {"wave_ends", FIELD_OBJECTS},
};

const struct shape shape_replacement_plan = {
    .does = "Plan the replacement of an issuer by another",
    .has_body = true,
    .body = {SHAPE_TABLE(body_fields)},
    .fields = SHAPE_TABLE(plan_fields),
};
const struct shape shape_replacement_create = {
    .does = "Begin the replacement of an issuer by another",
    .has_body = true,
    .body = {SHAPE_TABLE(body_fields)},
    .status = 201,
    .fields = SHAPE_TABLE_OF(replacement_fields, replacement_nfields),
};
