/*
 * What a bulk call came to, as JSON.  The row is that of the call itself or
 * the one kept for its Idempotency-Key: both give the same answer.
 */
#include "apiserver/handlers/certificates/bulk.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "apiserver/edge/request.h"

enum { ID_SPACE = 256 };

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
put_jobs(struct json_w *w, const char *certificates, const char *jobs)
{
	json_w_key(w, "enqueued_jobs");
	json_w_open(w, '[');
	while (*jobs != '\0') {
		json_w_open(w, '{');
		(void)put_next(w, "certificate_id", &certificates);
		(void)put_next(w, "job_id", &jobs);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static void
put_faults(struct json_w *w, const char *certificates, const char *fault)
{
	json_w_key(w, "errors");
	json_w_open(w, '[');
	while (*certificates != '\0') {
		json_w_open(w, '{');
		(void)put_next(w, "certificate_id", &certificates);
		json_w_kv(w, "error", fault);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static void
put_unknown(struct json_w *w, const char *ids)
{
	json_w_key(w, "unknown_ids");
	json_w_open(w, '[');
	while (put_next(w, NULL, &ids))
		;
	json_w_close(w, ']');
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

enum op_next
bulk_answer(struct op *op, const struct bulk_kind *kind)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	put_counts(op, w, kind);
	if (!op_is_null(op, 0, "job_ids"))
		put_jobs(w, op_text(op, 0, "certificate_ids"),
		    op_text(op, 0, "job_ids"));
	if (!op_is_null(op, 0, "failed_ids"))
		put_faults(w, op_text(op, 0, "failed_ids"), kind->fault);
	if (!op_is_null(op, 0, "unknown_ids"))
		put_unknown(w, op_text(op, 0, "unknown_ids"));
	json_w_close(w, '}');
	return reply_json(op, 200);
}
