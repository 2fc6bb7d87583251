/*
 * reply: how handlers answer.
 */
#include <stdlib.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/live/park.h"
#include "common/base/mem.h"

enum {
	REPLY_PIECE_MS = 30000, /* for making a piece of an answer */
	REPLY_WAIT_MS = 300000,
};

static struct request *
req_of(const struct op *op)
{
	return op_owner(op);
}

/* --- whole --- */

struct json_w *
reply_writer(struct op *op)
{
	struct request *r = req_of(op);

	buf_reset(&r->reply);
	json_w_init(&r->writer, &r->reply);
	return &r->writer;
}

enum op_next
reply_json(struct op *op, int status)
{
	struct request *r = req_of(op);

	buf_putc(&r->reply, '\n');
	if (!buf_ok(&r->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	r->status = status;
	r->content_type = "application/json";
	return op_done(op);
}

enum op_next
reply_status(struct op *op, int status, const char *key, const char *value)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, key, value);
	json_w_close(w, '}');
	return reply_json(op, status);
}

enum op_next
reply_no_content(struct op *op)
{
	request_set_text(req_of(op), 204, NULL, "");
	return op_done(op);
}

enum op_next
reply_bytes(struct op *op, int status, const char *content_type,
    const void *bytes, size_t len)
{
	struct request *r = req_of(op);

	buf_reset(&r->reply);
	buf_add(&r->reply, bytes, len);
	if (!buf_ok(&r->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	r->status = status;
	r->content_type = content_type;
	return op_done(op);
}

enum op_next
reply_blob(struct op *op, int status, const char *content_type,
    struct blob *body)
{
	struct request *r = req_of(op);

	request_set_text(r, status, content_type, "");
	r->shared = blob_hold(body);
	return op_done(op);
}

/* --- in pieces --- */

struct json_w *
reply_begin(struct op *op, int status, const char *content_type)
{
	struct request *r = req_of(op);

	r->status = status;
	r->content_type = content_type;
	return reply_writer(op);
}

/* A route with a longer deadline keeps what is left of it. */
static void
extend_for_piece(struct op *op)
{
	if (op_left_ms(op) < REPLY_PIECE_MS)
		op_extend(op, REPLY_PIECE_MS);
}

static enum op_next
piece_taken(struct op *op)
{
	if (!op_woken(op))
		return op_fail(op, RC_TIMEOUT, "%s", "");
	extend_for_piece(op);
	return req_of(op)->next_piece(op);
}

enum op_next
reply_piece(struct op *op, op_step *next)
{
	struct request *r = req_of(op);
	rc ret;

	if (!buf_ok(&r->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	ret = r->carrier->send_piece(r);
	r->is_pieces = true;
	if (ret == RC_OK) {
		extend_for_piece(op);
		return op_goto(op, next);
	}
	/* The carrier's own patience with slow readers is shorter. */
	if (op_left_ms(op) < 2 * REPLY_WAIT_MS)
		op_extend(op, 2 * REPLY_WAIT_MS);
	r->next_piece = next;
	return op_park(op, REPLY_WAIT_MS, piece_taken);
}

enum op_next
reply_end(struct op *op)
{
	if (!buf_ok(&req_of(op)->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	return op_done(op);
}

void
reply_momentary(struct op *op)
{
	req_of(op)->is_momentary = true;
}

void
reply_header(struct op *op, const char *name, const char *value)
{
	request_set_header(req_of(op), name, arena_strdup(op_arena(op), value));
}

void
reply_add_header(struct op *op, const char *name, const char *value)
{
	request_add_header(req_of(op), name, arena_strdup(op_arena(op), value));
}

/* --- what several handlers end by --- */

/* The column that the constraint is named for ("<table>_<column><suffix>"),
 * with a colon; "" where it is named otherwise.  A constraint's own name is
 * ours. */
static const char *
column_of(struct op *op, const struct db_error *e, const char *suffix)
{
	size_t table = strlen(e->table), all = strlen(e->constraint);
	size_t end = strlen(suffix);

	if (table == 0 || all <= table + 1 + end ||
	    strncmp(e->constraint, e->table, table) != 0 ||
	    strcmp(e->constraint + all - end, suffix) != 0)
		return "";
	return op_printf(op, "%.*s: ", (int)(all - table - 1 - end),
	    e->constraint + table + 1);
}

enum op_next
reply_db_error(struct op *op, const char *duplicate_text)
{
	const struct db_error *e = NULL;
	rc code = op_caught(op, &e);

	if (!e || !e->sqlstate[0])
		return op_fail(op, code, "%s", "");
	if (strcmp(e->sqlstate, "23505") == 0)
		return op_fail(op, RC_CONFLICT, "%s", duplicate_text);
	if (strcmp(e->sqlstate, "23503") == 0)
		return op_fail(op, RC_INVALID,
		    "%swhat it refers to does not exist, or is still in use",
		    column_of(op, e, "_fkey"));
	if (strcmp(e->sqlstate, "23514") == 0 ||
	    strcmp(e->sqlstate, "23502") == 0)
		return op_fail(op, RC_INVALID, "%sa value is not allowed",
		    column_of(op, e, "_check"));
	if (strncmp(e->sqlstate, "22", 2) == 0)
		return op_fail(op, RC_INVALID, "a value is not allowed");
	if (strcmp(e->sqlstate, "55P03") == 0)
		return op_fail(op, code, OP_HELD_WORDS);
	return op_fail(op, code, "%s", "");
}

static void
write_list(struct json_w *w, const char *key, const char *const *items)
{
	if (!items || !items[0])
		return;
	json_w_key(w, key);
	json_w_open(w, '[');
	for (size_t i = 0; items[i]; i++)
		json_w_str(w, items[i]);
	json_w_close(w, ']');
}

static void
send_hint(struct op *op, int njobs, const char *const *issuers,
    const char *const *agents, const char *due_after)
{
	struct buf b;
	struct json_w w;

	buf_init(&b, 128 * 1024);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_int(&w, "jobs", njobs);
	write_list(&w, "issuers", issuers);
	write_list(&w, "agents", agents);
	if (due_after)
		json_w_kv(&w, "due_after", due_after);
	json_w_close(&w, '}');
	if (buf_ok(&b))
		api_hint(req_api(op), b.data, b.len);
	buf_fini(&b);
}

void
req_hint(struct op *op, int njobs, const char *const *issuers,
    const char *const *agents)
{
	send_hint(op, njobs, issuers, agents, NULL);
	/* Ours need not wait for the way through the scheduler. */
	for (size_t i = 0; agents && agents[i]; i++)
		park_wake(req_api(op)->park, PARK_AGENT, agents[i]);
}

/* Ops whose jobs one statement made come one after the other in one turn, and
 * these are due at one time: whoever looks for the first finds all of them, and
 * would look in vain for each other. */
static bool
was_hinted(struct op *op, const char *issuer_id, const char *due_after)
{
	struct api_hinted *h = &req_api(op)->hinted;
	const char *what =
	    op_printf(op, "%s %s", due_after, issuer_id ? issuer_id : "");
	int64_t now = loop_now_ms(op_loop(op));

	if (h->what && h->at_ms == now && strcmp(h->what, what) == 0)
		return true;
	free(h->what);
	*h = (struct api_hinted){mem_strdup(what), now, h->n + 1};
	return false;
}

void
req_hint_due(struct op *op, const char *issuer_id, const char *due_after)
{
	const char *issuers[] = {issuer_id, NULL};

	if (was_hinted(op, issuer_id, due_after))
		return;
	send_hint(op, 1, issuers, NULL, due_after);
}
