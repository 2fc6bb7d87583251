#include "apiserver/edge/tagged.h"

#include <stdio.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/etag.h"
#include "apiserver/live/sharing.h"
#include "common/base/enc.h"

enum { LOOK_MS = 2500 }; /* past the queue's and before the op's end */

static op_step looked;
static op_step shared;

/* Whether the client has what r->tag stands for. */
static bool
has_it(struct op *op)
{
	const struct request *r = op_owner(op);
	const char *held = req_header(op, "If-None-Match");

	return held != NULL && etag_list_has(held, r->tag);
}

static enum op_next
answer_with(struct op *op, const char *tag, struct blob *body)
{
	struct request *r = op_owner(op);

	(void)snprintf(r->tag, sizeof(r->tag), "%s", tag);
	if (tag[0] != '\0' && has_it(op))
		return reply_no_content(op);
	return reply_blob(op, 200, "application/json", body);
}

/* What the route's own steps make, for this one and all who ask for it too. */
static enum op_next
ask(struct op *op)
{
	struct request *r = op_owner(op);

	lists_view(r->api->lists, &r->view);
	if (sharer_asks(r->sharer))
		return r->match.route->start(op);
	/* The op's deadline comes first. */
	return op_park(op, op_left_ms(op) + 1, shared);
}

static enum op_next
shared(struct op *op)
{
	struct request *r = op_owner(op);
	const struct shared_answer *had = sharer_answer(r->sharer);

	if (had == NULL)
		return ask(op);
	r->is_momentary = had->is_momentary;
	return answer_with(op, had->tag, had->body);
}

/* The kept answer, or a new one. */
static enum op_next
answer(struct op *op, const struct lists_page *page, const char *list)
{
	struct request *r = op_owner(op);

	if (page != NULL)
		return answer_with(op, page->tag, page->body);
	r->sharer = sharing_join(r->api->sharing, op, list);
	return ask(op);
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
	const char *list = name_list(op, r);

	if (wants_news(op))
		return answer(op, NULL, list);
	r->list = list;
	if (lists_is_fresh(r->api->lists))
		return answer(op,
		    lists_find(r->api->lists, r->match.route->reads, list),
		    list);
	page = lists_find_new(r->api->lists, r->match.route->reads, list);
	if (page != NULL)
		return answer(op, page, list);
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
		: NULL,
	    r->list);
}

/* What was asked with no-cache nobody asks for again by its tag, unless they
 * hold one already. */
static bool
gets_tag(const struct request *r)
{
	return r->shared->len <= TAGGED_MAX_BYTES &&
	       (r->list != NULL || req_header(r->op, "If-None-Match") != NULL);
}

/* Whatever is to keep the body, or to send it, holds the same one. */
static void
share_body(struct request *r)
{
	if (r->shared != NULL)
		return;
	r->shared = blob_new(r->reply.data, r->reply.len);
	buf_fini(&r->reply);
}

static void
make_tag(struct request *r)
{
	char digest[65];

	enc_sha256_hex(r->shared->bytes, r->shared->len, digest);
	(void)snprintf(r->tag, sizeof(r->tag), "\"%s\"", digest);
	if (r->list != NULL)
		lists_keep(r->api->lists, r->match.route->reads, r->list,
		    &r->view, r->is_momentary,
		    &(struct lists_page){r->tag, r->shared});
}

void
tagged_end(struct request *r, rc code)
{
	bool is_whole = code == RC_OK && r->status == 200 && !r->is_pieces;

	if (is_whole)
		share_body(r);
	if (is_whole && r->tag[0] == '\0' && gets_tag(r))
		make_tag(r);
	if (r->sharer != NULL)
		sharer_tell(r->sharer, is_whole
					   ? &(struct shared_answer){r->tag,
						 r->is_momentary, r->shared}
					   : NULL);
	if (code != RC_OK || r->tag[0] == '\0')
		return;
	request_set_header(r, "ETag", r->tag);
	if (has_it(r->op))
		request_set_text(r, 304, NULL, "");
}
