/*
 * GET /audit/{id}/attachment: the list that lies beside an event, byte for
 * byte as it was hashed: its SHA-256 is the event's attachment_sha256.
 */
#include "apiserver/handlers/audit/audit.h"

#include <string.h>

#include "apiserver/edge/request.h"

static op_step attachment_done;

enum op_next
audit_attachment(struct op *op)
{
	const char *id = req_param(op, "id");
	const char *from, *to;

	if (!audit_id_times(op, id, &from, &to))
		return op_fail(op, RC_NOT_FOUND, "Audit event not found");
	return OP_QUERY(op, Q_AUDIT_ATTACHMENT, attachment_done, id, from, to);
}

static enum op_next
attachment_done(struct op *op)
{
	const char *content;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND,
		    "There is no such event, or it has no attachment");
	content = op_text(op, 0, "content");
	return reply_bytes(op, 200, "text/plain; charset=utf-8", content,
	    strlen(content));
}
