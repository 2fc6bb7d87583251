#include "apiserver/edge/tagged.h"

#include <stdio.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/etag.h"
#include "common/base/enc.h"

enum { LOOK_MS = 2500 }; /* past the queue's and before the op's end */

static op_step looked;

/* Whether the client has what r->tag stands for. */
static bool
has_it(struct op *op)
{
	const struct request *r = op_owner(op);
	const char *held = req_header(op, "If-None-Match");

	return held != NULL && etag_list_has(held, r->tag);
}

/* The kept answer, or what the route's own steps make. */
static enum op_next
answer(struct op *op, const struct lists_page *page)
{
	struct request *r = op_owner(op);

	if (page == NULL) {
		lists_view(r->api->lists, &r->view);
		return r->match.route->start(op);
	}
	(void)snprintf(r->tag, sizeof(r->tag), "%s", page->tag);
	if (has_it(op))
		return reply_no_content(op);
	return reply_bytes(op, 200, "application/json", page->body, page->len);
}

/* Whom and what is asked; no text of a query holds an end of a line. */
static const char *
name_list(struct op *op, const struct request *r)
{
	const char *name = r->match.route->pattern;

	for (size_t i = 0; i < r->path.nquery; i++)
		name = op_printf(op, "%s\n%s\n%s", name, r->path.query[i].name,
		    r->path.query[i].value);
	return name;
}

/* RFC 9111 section 5.2.1.4: what is kept will not do. */
static bool
wants_news(struct op *op)
{
	const char *control = req_header(op, "Cache-Control");

	return control != NULL && strstr(control, "no-cache") != NULL;
}

enum op_next
tagged_start(struct op *op)
{
	struct request *r = op_owner(op);
	const struct lists_page *page;

	if (wants_news(op))
		return answer(op, NULL);
	r->list = name_list(op, r);
	if (lists_is_fresh(r->api->lists))
		return answer(op,
		    lists_find(r->api->lists, r->match.route->reads, r->list));
	page = lists_find_new(r->api->lists, r->match.route->reads, r->list);
	if (page != NULL)
		return answer(op, page);
	lists_look(r->api->lists, &r->wait, op);
	return op_park(op, LOOK_MS, looked);
}

/* Where the look failed its answer is not known to be fresh, so the database
 * is asked, and tells what is wrong with it. */
static enum op_next
looked(struct op *op)
{
	struct request *r = op_owner(op);

	lists_forget(&r->wait);
	return answer(op,
	    op_woken(op) && r->wait.has_looked
		? lists_find(r->api->lists, r->match.route->reads, r->list)
		: NULL);
}

/* What was asked with no-cache nobody asks for again by its tag, unless they
 * hold one already. */
static bool
gets_tag(const struct request *r)
{
	return r->status == 200 && !r->is_pieces &&
	       r->reply.len <= TAGGED_MAX_BYTES &&
	       (r->list != NULL || req_header(r->op, "If-None-Match") != NULL);
}

void
tagged_end(struct request *r)
{
	char digest[65];

	if (r->tag[0] == '\0') {
		if (!gets_tag(r))
			return;
		enc_sha256_hex(r->reply.data, r->reply.len, digest);
		(void)snprintf(r->tag, sizeof(r->tag), "\"%s\"", digest);
		if (r->list != NULL)
			lists_keep(r->api->lists, r->match.route->reads,
			    r->list, &r->view, r->is_momentary,
			    &(struct lists_page){r->tag, r->reply.data,
				r->reply.len});
	}
	request_set_header(r, "ETag", r->tag);
	if (has_it(r->op))
		request_set_text(r, 304, NULL, "");
}
