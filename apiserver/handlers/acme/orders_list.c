/*
 * POST account/{id}/orders: the orders of an account (RFC 8555 section
 * 7.1.2.1), the newest first, in pages that follow one another by a cursor.
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/signed.h"
#include "apiserver/policy/path.h"
#include "apiserver/resources/wiretime.h"

/* The cursor is "<created_at>~<order>" of a page's last order: nothing in it
 * has another form in an address, which the client signs as it is. */
#define CURSOR_MARK '~'

enum { ORDERS_PAGE = 100 };

static op_step list_signed;
static op_step list_read;

enum op_next
acme_orders_list_start(struct op *op)
{
	return acme_signed(op, ACME_KID, list_signed);
}

/* What the page begins behind; both NULL: the newest.  False: no cursor of
 * ours. */
static bool
read_cursor(struct op *op, const char **out_time, const char **out_order)
{
	const char *text = req_query(op, "cursor"), *mark;

	*out_time = *out_order = NULL;
	if (!req_has_query(op, "cursor"))
		return true;
	mark = text ? strchr(text, CURSOR_MARK) : NULL;
	if (!mark || !path_id_is_valid(mark + 1))
		return false;
	*out_time = arena_strndup(op_arena(op), text, (size_t)(mark - text));
	*out_order = mark + 1;
	return wiretime_is_valid(*out_time, false);
}

static enum op_next
list_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	const char *time, *order;
	enum op_next no;

	if (strcmp(req_param(op, "id"), r->account_id) != 0)
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "this is not the account that signed the request");
	if (!acme_is_read(op, &no))
		return no;
	if (!read_cursor(op, &time, &order))
		return acme_problem(op, ACME_MALFORMED,
		    "cursor is none that this server gave: begin with the "
		    "account's orders, and go on with the Link of rel "
		    "\"next\"");
	return OP_QUERY(op, Q_ACME_ORDERS_LIST, list_read, r->account_id, time,
	    order, op_printf(op, "%d", ORDERS_PAGE + 1));
}

static void
link_next(struct op *op, size_t last)
{
	char time[WIRETIME_SIZE];

	wiretime_text(op_text(op, last, "created_at"), time);
	acme_link(op,
	    op_printf(op, "%s/orders?cursor=%s%c%s",
		acme_url(op, "account", acme_request(op)->account_id), time,
		CURSOR_MARK, op_text(op, last, "order_id")),
	    "next");
}

static enum op_next
list_read(struct op *op)
{
	size_t n = op_rows(op);
	struct json_w *w = reply_writer(op);

	if (n > ORDERS_PAGE) {
		n = ORDERS_PAGE;
		link_next(op, n - 1);
	}
	json_w_open(w, '{');
	json_w_key(w, "orders");
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++)
		json_w_str(w,
		    acme_url(op, "order", op_text(op, i, "order_id")));
	json_w_close(w, ']');
	json_w_close(w, '}');
	return acme_reply(op, 200);
}
