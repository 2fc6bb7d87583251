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

enum {
	ID_SPACE = 256,
	PIECE = 64 * 1024,
};

static op_step put_lists;

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

static void
put_counts(struct op *op, struct json_w *w, const struct bulk_kind *kind)
{
	int64_t matched = op_i64(op, 0, "matched");
	int64_t done = op_i64(op, 0, "done");
	int64_t failed = op_i64(op, 0, "failed");
	int64_t skipped = matched - done - failed;

	json_w_kv_int(w, "total_matched", matched);
	json_w_kv_int(w, kind->total, done);
	/* One may come to be done by others meanwhile. */
	json_w_kv_int(w, "total_skipped", skipped > 0 ? skipped : 0);
	json_w_kv_int(w, "total_failed", failed);
}

/* The row's texts live as long as the op: nothing more is asked. */
static const char *
text_or_null(const struct op *op, const char *column)
{
	return op_is_null(op, 0, column) ? NULL : op_text(op, 0, column);
}

enum op_next
bulk_answer(struct op *op)
{
	struct bulk *b = op_state(op, sizeof(*b));
	struct json_w *w = reply_begin(op, 200, "application/json");

	json_w_open(w, '{');
	put_counts(op, w, b->kind);
	b->lists = (struct bulk_lists){
	    .w = w,
	    .job_ids = text_or_null(op, "job_ids"),
	    .ids = {[BULK_FAULTS] = text_or_null(op, "failed_ids"),
		[BULK_UNKNOWN] = text_or_null(op, "unknown_ids"),
		[BULK_HELD] = text_or_null(op, "held_ids")},
	};
	if (b->lists.job_ids)
		b->lists.ids[BULK_JOBS] = op_text(op, 0, "certificate_ids");
	return put_lists(op);
}
