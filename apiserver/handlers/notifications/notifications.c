/*
 * Notifications: what was, is to be or could not be sent.
 */
#include "apiserver/handlers/notifications/notifications.h"

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

static const struct field fields[] = {
    {"id", FIELD_TEXT},
    {"type", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"channel", FIELD_TEXT},
    {"recipient", FIELD_TEXT},
    {"message", FIELD_TEXT},
    {"sent_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"status", FIELD_TEXT},
    {"error", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"retry_count", FIELD_INT},
    {"next_retry_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"last_error", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
    {"severity", FIELD_TEXT},
    {"threshold_days", FIELD_INT, FIELD_OMIT_EMPTY},
};

static const struct cursor_key newest_first[] = {
    {"order_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

static op_step list_done;
static op_step get_done;
static op_step read_done;
static op_step requeue_done;

enum op_next
notification_list(struct op *op)
{
	static const char *const statuses[] = {"pending", "sent", "failed",
	    "dead", "read"};
	struct page *p = op_state(op, sizeof(*p));
	const char *params[5], *why;

	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	(void)page_params(p, params + 1);

	const struct db_stmt rows = {Q_NOTIFICATION_LIST, ARRAY_LEN(params),
	    params};
	const struct db_stmt total = {Q_NOTIFICATION_TOTAL, 1, params};

	return page_ask(op, p, &rows, &total, params[0] != NULL, list_done);
}

static enum op_next
list_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));

	return page_done(op, p, fields, ARRAY_LEN(fields), NULL);
}

static enum op_next
not_found(struct op *op)
{
	return op_fail(op, RC_NOT_FOUND, "Notification not found");
}

enum op_next
notification_get(struct op *op)
{
	return OP_QUERY(op, Q_NOTIFICATION_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	if (op_rows(op) == 0)
		return not_found(op);
	return page_reply_one(op, 200, fields, ARRAY_LEN(fields));
}

enum op_next
notification_read(struct op *op)
{
	return OP_QUERY(op, Q_NOTIFICATION_READ, read_done, req_param(op, "id"),
	    page_actor(op), req_actor_type(op));
}

static enum op_next
read_done(struct op *op)
{
	if (op_rows(op) == 0)
		return not_found(op);
	return reply_status(op, 200, "status", "marked_as_read");
}

enum op_next
notification_requeue(struct op *op)
{
	return OP_QUERY(op, Q_NOTIFICATION_REQUEUE, requeue_done,
	    req_param(op, "id"), page_actor(op), req_actor_type(op));
}

static enum op_next
requeue_done(struct op *op)
{
	if (op_rows(op) == 0)
		return not_found(op);
	return reply_status(op, 200, "status", "requeued");
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"status", FIELD_TEXT},
};

const struct shape shape_notification_list = {
    .does = "List the notifications",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_notification_get = {
    .does = "Get a notification",
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_notification_read = {
    .does = "Mark a notification as read",
    .answer = SHAPE_STATUS,
};
const struct shape shape_notification_requeue = {
    .does = "Send a notification again",
    .answer = SHAPE_STATUS,
};
