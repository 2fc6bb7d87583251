/*
 * GET /audit/{id}/attachment: the list that lies beside an event, byte for
 * byte as it was hashed: its SHA-256 is the event's attachment_sha256.
 *
 * A list of a large bulk call has many megabytes, so it is read and sent in
 * pieces.
 */
#include "apiserver/handlers/audit/audit.h"

#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/json/json.h"

enum { PIECE = 512 * 1024 }; /* characters */

struct attachment {
	const char *from, *to; /* when the event was written */
	int64_t at;            /* the next character, the first is 1 */
	struct json_w *w;
};

static op_step attachment_read;
static op_step attachment_piece;

enum op_next
audit_attachment(struct op *op)
{
	struct attachment *a = op_state(op, sizeof(*a));

	if (!audit_id_times(op, req_param(op, "id"), &a->from, &a->to))
		return op_fail(op, RC_NOT_FOUND, "Audit event not found");
	a->at = 1;
	op_mark(op);
	return op_goto(op, attachment_read);
}

static enum op_next
attachment_read(struct op *op)
{
	const struct attachment *a = op_state(op, sizeof(*a));

	op_rewind(op);
	return OP_QUERY(op, Q_AUDIT_ATTACHMENT, attachment_piece,
	    req_param(op, "id"), a->from, a->to, page_num(op, a->at),
	    page_num(op, PIECE));
}

static enum op_next
attachment_piece(struct op *op)
{
	struct attachment *a = op_state(op, sizeof(*a));
	const char *content;

	/* It may be pruned while it is read: then its end does not come. */
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND,
		    "There is no such event, or it has no attachment");
	content = op_text(op, 0, "content");
	if (a->at == 1)
		a->w = reply_begin(op, 200, "text/plain; charset=utf-8");
	buf_puts(a->w->b, content);
	if (strlen(content) < PIECE)
		return reply_end(op);
	a->at += PIECE;
	return reply_piece(op, attachment_read);
}

/* --- what the document says of it --- */

const struct shape shape_audit_attachment = {
    .does = "Get the list that lies beside an event",
    .answer = SHAPE_BYTES,
    .content_type = "text/plain; charset=utf-8",
};
