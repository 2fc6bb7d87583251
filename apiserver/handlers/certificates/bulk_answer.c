/*
 * What a bulk call came to, as JSON.  The row is that of the call itself or
 * the one kept for its Idempotency-Key: both give the same answer.  A million
 * ids are written piece by piece, as the client takes them.
 */
#include "apiserver/handlers/certificates/bulk.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/jobs/jobs.h"

enum {
	ID_SPACE = 256,
	PIECE = 64 * 1024,
	MAX_LOOKED_AT = 10000, /* jobs that are asked what they wait for */
};

/* Reasons that an answer tells, and certificates of each that it names. */
#define MAX_REASONS "20"
#define MAX_NAMED "50"

static op_step put_lists;
static op_step put_waiting;
static op_step put_unlooked;

/* Writes the next of ids with commas between them; false at their end. */
static bool
put_next(struct json_w *w, const char *key, const char **ids)
{
	size_t len = strcspn(*ids, ",");
	char id[ID_SPACE];

	if (len == 0)
		return false;
	assert(len < sizeof(id)); /* the tables' CHECKs hold them shorter */
	memcpy(id, *ids, len);
	id[len] = '\0';
	if (key != NULL)
		json_w_key(w, key);
	json_w_str(w, id);
	*ids += len + ((*ids)[len] == ',' ? 1 : 0);
	return true;
}

static void
put_item(struct bulk_lists *l, const char *fault)
{
	struct json_w *w = l->w;

	if (l->at == BULK_UNKNOWN || l->at == BULK_HELD) {
		(void)put_next(w, NULL, &l->ids[l->at]);
		return;
	}
	json_w_open(w, '{');
	(void)put_next(w, "certificate_id", &l->ids[l->at]);
	if (l->at == BULK_JOBS)
		(void)put_next(w, "job_id", &l->job_ids);
	else
		json_w_kv(w, "error", fault);
	json_w_close(w, '}');
}

/* Goes on with the list at which we are; false: a piece is full. */
static bool
put_list(struct bulk_lists *l, const char *fault)
{
	static const char *const names[] = {
	    [BULK_JOBS] = "enqueued_jobs",
	    [BULK_FAULTS] = "errors",
	    [BULK_UNKNOWN] = "unknown_ids",
	    [BULK_HELD] = "held_ids",
	};

	if (l->ids[l->at] == NULL)
		return true;
	if (!l->is_open) {
		json_w_key(l->w, names[l->at]);
		json_w_open(l->w, '[');
		l->is_open = true;
	}
	while (*l->ids[l->at] != '\0') {
		if (l->w->b->len >= PIECE)
			return false;
		put_item(l, fault);
	}
	json_w_close(l->w, ']');
	l->is_open = false;
	return true;
}

static enum op_next
put_lists(struct op *op)
{
	struct bulk *b = op_state(op, sizeof(*b));
	struct bulk_lists *l = &b->lists;

	for (; l->at < BULK_LISTS; l->at++) {
		if (!put_list(l, b->kind->fault))
			return reply_piece(op, put_lists);
	}
	json_w_close(l->w, '}');
	buf_putc(l->w->b, '\n');
	return reply_end(op);
}

/* One may come to be done by others meanwhile. */
static int64_t
skipped(const struct bulk *b)
{
	int64_t n = b->matched - b->ndone - b->nfailed;

	return n > 0 ? n : 0;
}

static struct json_w *
put_counts(struct op *op, const struct bulk *b)
{
	struct json_w *w = reply_begin(op, 200, "application/json");

	json_w_open(w, '{');
	json_w_kv_int(w, "total_matched", b->matched);
	json_w_kv_int(w, b->kind->total, b->ndone);
	json_w_kv_int(w, "total_skipped", skipped(b));
	json_w_kv_int(w, "total_failed", b->nfailed);
	return w;
}

/* What is counted as skipped is so only when those calls end well.  True: the
 * list of warnings is open. */
static bool
put_under_way(struct op *op, const struct bulk *b, struct json_w *w)
{
	if (b->nunder_way == 0)
		return false;
	json_w_key(w, "warnings");
	json_w_open(w, '[');
	json_w_str(w,
	    op_printf(op,
		"other renewals are under way for %lld of these "
		"certificates, which were skipped: look at their answers, or "
		"call again behind them",
		(long long)b->nunder_way));
	return true;
}

/* --- what the jobs wait for --- */

/* The first MAX_LOOKED_AT of ids; they hold no comma. */
static const char *
first_ids(struct op *op, const char *ids, bool *out_is_cut)
{
	const char *end = ids;

	for (int i = 0; i < MAX_LOOKED_AT && *end != '\0'; i++) {
		end += strcspn(end, ",");
		if (i + 1 < MAX_LOOKED_AT && *end == ',')
			end++;
	}
	*out_is_cut = *end != '\0';
	return op_printf(op, "%.*s", (int)(end - ids), ids);
}

static void
put_wait(struct op *op, struct json_w *w, size_t row)
{
	json_w_open(w, '{');
	json_w_kv(w, "reason",
	    job_reason_say(op_arena(op), op_text(op, row, "reason")));
	json_w_kv_int(w, "total", op_i64(op, row, "n"));
	json_w_kv_raw(w, "certificate_ids",
	    op_text(op, row, "certificate_ids"));
	json_w_close(w, '}');
}

static void
put_warning(struct op *op, struct json_w *w, size_t row)
{
	json_w_str(w,
	    op_printf(op, "of %lld of these certificates: %s",
		(long long)op_i64(op, row, "n"),
		cert_reason_say(op_arena(op), op_text(op, row, "reason"))));
}

/* The rows that are waits, or those that are not, as a list unless empty; one
 * that is open already goes on. */
static void
put_rows(struct op *op, struct json_w *w, const char *key, bool is_open,
    bool are_waits, void (*put)(struct op *op, struct json_w *w, size_t row))
{
	for (size_t i = 0; i < op_rows(op); i++) {
		if (op_bool(op, i, "is_wait") != are_waits)
			continue;
		if (!is_open) {
			json_w_key(w, key);
			json_w_open(w, '[');
			is_open = true;
		}
		put(op, w, i);
	}
	if (is_open)
		json_w_close(w, ']');
}

/* Each reason with how many certificates have it, and some of them. */
static enum op_next
put_waiting(struct op *op)
{
	struct bulk *b = op_state(op, sizeof(*b));
	struct json_w *w = b->lists.w = put_counts(op, b);

	put_rows(op, w, "waiting", false, true, put_wait);
	put_rows(op, w, "warnings", put_under_way(op, b, w), false,
	    put_warning);
	if (b->is_cut)
		json_w_kv_int(w, "waiting_looked_at", MAX_LOOKED_AT);
	return put_lists(op);
}

/* The jobs are made; that nobody could ask on makes that no failure. */
static enum op_next
put_unlooked(struct op *op)
{
	struct bulk *b = op_state(op, sizeof(*b));

	b->lists.w = put_counts(op, b);
	json_w_kv_int(b->lists.w, "waiting_looked_at", 0);
	if (put_under_way(op, b, b->lists.w))
		json_w_close(b->lists.w, ']');
	return put_lists(op);
}

/* The row's texts live as long as the op. */
static const char *
text_or_null(const struct op *op, const char *column)
{
	return op_is_null(op, 0, column) ? NULL : op_text(op, 0, column);
}

enum op_next
bulk_answer(struct op *op)
{
	struct bulk *b = op_state(op, sizeof(*b));

	b->matched = op_i64(op, 0, "matched");
	b->ndone = op_i64(op, 0, "done");
	b->nfailed = op_i64(op, 0, "failed");
	b->nunder_way =
	    op_is_null(op, 0, "under_way") ? 0 : op_i64(op, 0, "under_way");
	b->lists = (struct bulk_lists){
	    .job_ids = text_or_null(op, "job_ids"),
	    .ids = {[BULK_FAULTS] = text_or_null(op, "failed_ids"),
		[BULK_UNKNOWN] = text_or_null(op, "unknown_ids"),
		[BULK_HELD] = text_or_null(op, "held_ids")},
	};
	if (b->is_dry && b->kind->waits && b->ndone > 0) {
		op_catch(op, put_unlooked);
		return OP_QUERY(op, Q_BULK_WOULD_WAIT, put_waiting, b->criteria,
		    b->ids != NULL
			? db_text_array(op_arena(op), b->ids, b->nids)
			: NULL,
		    MAX_NAMED, MAX_REASONS);
	}
	if (b->lists.job_ids == NULL) {
		b->lists.w = put_counts(op, b);
		if (put_under_way(op, b, b->lists.w))
			json_w_close(b->lists.w, ']');
		return put_lists(op);
	}
	b->lists.ids[BULK_JOBS] = op_text(op, 0, "certificate_ids");
	op_catch(op, put_unlooked);
	return OP_QUERY(op, Q_BULK_WAITING, put_waiting,
	    first_ids(op, b->lists.job_ids, &b->is_cut), MAX_NAMED,
	    MAX_REASONS);
}
