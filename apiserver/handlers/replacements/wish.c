#include "apiserver/handlers/replacements/wish.h"

#include <assert.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "common/base/attr.h"
#include "common/issuer/issuer_limits.h"
#include "common/json/json.h"

const char *const wish_reasons[] = {"unspecified", "keyCompromise",
    "caCompromise", "affiliationChanged", "superseded", "cessationOfOperation",
    "privilegeWithdrawn", NULL};

#define DEADLINE_MS 60000

/* What runs after the limits, or the survey, are known. */
struct wish_op {
	struct wish w;
	op_step *next;
};

static op_step limits_read;
static op_step survey_piece;
static op_step survey_seen;

/* --- the body --- */

rc
wish_read(struct op *op, const struct field *fields, size_t nfields,
    const char **out_why)
{
	struct wish_op *s = op_state(op, sizeof(*s));
	struct wish *w = &s->w;
	struct arena *a = op_arena(op);
	const struct cJSON *body, *checked;
	bool moves = false;
	int64_t wave = 0;
	const char *text;
	rc ret;

	ret = req_json(op, false, &body, out_why);
	if (ret == RC_OK)
		ret =
		    field_read(a, fields, nfields, body, true, &text, out_why);
	if (ret == RC_OK)
		ret = json_parse(a, text, strlen(text), &checked, out_why);
	if (ret != RC_OK)
		return ret;
	w->after = "";
	IGNORE_RESULT(json_str(checked, "from_issuer_id", 128, &w->from));
	IGNORE_RESULT(json_str(checked, "to_issuer_id", 128, &w->to));
	IGNORE_RESULT(json_str(checked, "revoke_reason", 32, &w->reason));
	IGNORE_RESULT(json_str(checked, "after", WISH_ID_MAX, &w->after));
	IGNORE_RESULT(json_str(checked, "reason", 32, &w->excluded));
	IGNORE_RESULT(json_bool(checked, "move_profiles", &moves));
	IGNORE_RESULT(
	    json_int(checked, "within_seconds", 1, INT32_MAX, &w->within_s));
	w->moves_profiles = moves ? "t" : "f";
	if (json_int(checked, "wave_size", 1, INT32_MAX, &wave) == RC_OK)
		w->wave = page_num(op, wave);
	return RC_OK;
}

/* --- what the new issuer can't --- */

enum op_next
wish_limits(struct op *op, op_step *next)
{
	struct wish_op *s = op_state(op, sizeof(*s));

	s->next = next;
	return OP_QUERY(op, Q_REPLACEMENT_ISSUER, limits_read, s->w.to);
}

static enum op_next
limits_read(struct op *op)
{
	struct wish_op *s = op_state(op, sizeof(*s));

	s->w.limits = "{}";
	if (op_rows(op) > 0)
		s->w.limits =
		    issuer_limits_json(op_arena(op), op_text(op, 0, "type"),
			op_text(op, 0, "config"), op_text(op, 0, "chain_pem"));
	return s->next(op);
}

/* --- the certificates, piece by piece --- */

enum op_next
wish_survey(struct op *op, op_step *next)
{
	struct wish_op *s = op_state(op, sizeof(*s));

	s->next = next;
	op_mark(op);
	return op_goto(op, survey_piece);
}

static enum op_next
survey_piece(struct op *op)
{
	const struct wish_op *s = op_state(op, sizeof(*s));

	return OP_QUERY(op, Q_REPLACEMENT_PLAN, survey_seen, s->w.from, s->w.to,
	    s->w.moves_profiles, s->w.limits, s->w.last);
}

static struct wish_group *
group_of(struct wish *w, bool can_go, const char *reason)
{
	struct wish_group *g = w->groups;

	for (size_t i = 0; i < w->ngroups; i++, g++) {
		if (g->can_go == can_go && strcmp(g->reason, reason) == 0)
			return g;
	}
	assert(
	    w->ngroups < WISH_GROUPS_MAX); /* the database's words are ours */
	w->ngroups++;
	g->can_go = can_go;
	(void)stpncpy(g->reason, reason, sizeof(g->reason) - 1);
	return g;
}

static void
add_ids(struct arena *a, struct wish_group *g, const char *ids)
{
	const struct cJSON *list = NULL, *item;
	const char *why;

	if (g->nids == WISH_NAMED_MAX ||
	    json_parse(a, ids, strlen(ids), &list, &why) != RC_OK)
		return;
	cJSON_ArrayForEach(item, list)
	{
		if (g->nids < WISH_NAMED_MAX && cJSON_IsString(item))
			(void)stpncpy(g->ids[g->nids++], item->valuestring,
			    WISH_ID_MAX);
	}
}

static enum op_next
survey_seen(struct op *op)
{
	struct wish_op *s = op_state(op, sizeof(*s));
	struct wish *w = &s->w;
	bool is_last = true;

	for (size_t i = 0; i < op_rows(op); i++) {
		struct wish_group *g = group_of(w, op_bool(op, i, "can_go"),
		    op_text(op, i, "reason"));

		g->n += op_i64(op, i, "n");
		add_ids(op_arena(op), g, op_text(op, i, "certificate_ids"));
		if (op_is_null(op, i, "last"))
			continue;
		is_last = false;
		memset(w->last, 0, sizeof(w->last));
		(void)stpncpy(w->last, op_text(op, i, "last"), WISH_ID_MAX);
	}
	op_extend(op, DEADLINE_MS); /* while it gets on */
	if (is_last)
		return s->next(op);
	op_rewind(op);
	return op_goto(op, survey_piece);
}

int64_t
wish_count(const struct wish *w, bool can_go)
{
	int64_t n = 0;

	for (size_t i = 0; i < w->ngroups; i++)
		n += w->groups[i].can_go == can_go ? w->groups[i].n : 0;
	return n;
}
