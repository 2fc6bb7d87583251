/*
 * An order whose answer was lost, and its URL with it, is looked for among the
 * account's (RFC 8555 section 7.1.2.1), all pages of that list.
 *
 * CAs put the newest at its beginning or at its end: from there on it is looked
 * for, at both.  An account may have more orders than are worth it: one that is
 * not found becomes no certificate, for nobody else finalizes it, so another
 * may be placed.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "common/http/http_out.h"
#include "common/json/json.h"
#include "worker/issuers/acme_order.h"
#include "worker/issuers/acme_text.h"

#define LOOKED_MAX 200
/* Of whose list no more is read. */
#define LISTED_MAX 10000
/* A request that begins by then is answered within ACME_ASK_MS. */
#define ROUND_MS 3000

struct acme_look_up { /* in the arena */
	int64_t round_ends_ms;
	const char *next_page; /* NULL: all are known */
	const char **listed;   /* URLs, in the CA's order */
	size_t n, at, room;
};

static acme_reply_fn on_list;
static acme_reply_fn on_candidate;

static void
round_begin(struct acme_order *o, issuer_answer_fn *done, void *arg)
{
	acme_order_begin(o, ACME_ASK_MS, done, arg);
	o->look_up->round_ends_ms = loop_now_ms(o->env->loop) + ROUND_MS;
}

static const char *
candidate(const struct acme_look_up *l, size_t i)
{
	return l->listed[i % 2 == 0 ? l->n - 1 - i / 2 : i / 2];
}

/* The next request of the look-up, or its end. */
static void
ask_next(struct acme_order *o)
{
	struct acme_look_up *l = o->look_up;

	if (l->next_page)
		acme_order_ask(o, l->next_page, NULL, on_list);
	else if (l->at == l->n || l->at == LOOKED_MAX)
		acme_order_answer(o, ISSUER_NO_ORDER,
		    "none of its orders is ours", 0);
	else
		acme_order_ask(o, candidate(l, l->at++), NULL, on_candidate);
}

static void
go_on(struct acme_order *o)
{
	if (loop_now_ms(o->env->loop) < o->look_up->round_ends_ms)
		ask_next(o);
	else
		acme_order_answer(o, ISSUER_LISTED,
		    arena_printf(o->a, "%zu looked at so far", o->look_up->at),
		    0);
}

void
acme_look_through(void *order, const bool *is_stored, issuer_answer_fn *done,
    void *arg)
{
	round_begin(order, done, arg);
	ask_next(order);
}

/* --- one order --- */

static bool
has_name(const struct cJSON *identifiers, const struct san *name)
{
	const char *type = name->type == SAN_IP ? "ip" : "dns";
	const struct cJSON *item = NULL;

	cJSON_ArrayForEach(item, identifiers)
	{
		if (strcmp(acme_text(item, "type"), type) == 0 &&
		    strcasecmp(acme_text(item, "value"), name->text) == 0)
			return true;
	}
	return false;
}

/* An order for the same names that was not finalized. */
static bool
may_be_ours(const struct acme_order *o, const struct cJSON *json)
{
	const struct cJSON *identifiers = json_get(json, "identifiers");
	const struct csr *c = o->o->csr;
	const char *status = acme_text(json, "status");

	if ((strcmp(status, "pending") != 0 && strcmp(status, "ready") != 0) ||
	    cJSON_GetArraySize(identifiers) != (int)c->nnames)
		return false;
	for (size_t i = 0; i < c->nnames; i++)
		if (!has_name(identifiers, &c->names[i]))
			return false;
	return true;
}

static void
on_candidate(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;

	if (r->is_good && may_be_ours(o, r->http->json)) {
		o->url = candidate(o->look_up, o->look_up->at - 1);
		o->note = "";
		acme_order_pending(o, "found among the account's orders",
		    ACME_SOON_MS, 0);
	} else if (r->is_good || (r->http && r->http->status == 404)) {
		go_on(o);
	} else {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
	}
}

/* --- the list --- */

static void
add(struct acme_order *o, const char *url)
{
	struct acme_look_up *l = o->look_up;
	const char **more;

	if (l->n == l->room) {
		l->room = l->room > 0 ? 2 * l->room : LOOKED_MAX;
		more = arena_alloc(o->a, l->room * sizeof(char *));
		if (l->n > 0)
			memcpy(more, l->listed, l->n * sizeof(char *));
		l->listed = more;
	}
	l->listed[l->n++] = url;
}

/* Where the list goes on, as its Link of rel "next" says (RFC 8288), NULL: it
 * ends here. */
static const char *
next_page(struct acme_order *o, const struct http_call *call)
{
	const char *link, *end, *url;

	for (size_t i = 0;
	     (link = http_call_header_at(call, "Link", i)) != NULL; i++) {
		end = strchr(link, '>');
		if (link[0] != '<' || !end || !strstr(end, "rel=\"next\""))
			continue;
		url = arena_strndup(o->a, link + 1, (size_t)(end - link - 1));
		return strlen(url) <= ACME_URL_MAX ? url : NULL;
	}
	return NULL;
}

static void
on_list(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;
	struct acme_look_up *l = o->look_up;
	const struct cJSON *orders, *item;

	orders = r->is_good ? json_get(r->http->json, "orders") : NULL;
	if (!cJSON_IsArray(orders)) {
		acme_order_answer(o, ISSUER_RETRY,
		    r->is_good ? "the list of the account's orders is none"
			       : r->words,
		    r->retry_after_s);
		return;
	}
	cJSON_ArrayForEach(item, orders)
	{
		/* A longer one could not be kept. */
		if (cJSON_IsString(item) &&
		    strlen(item->valuestring) <= ISSUER_ORDER_ID_MAX)
			add(o, item->valuestring);
	}
	l->next_page = l->n < LISTED_MAX ? next_page(o, r->http->call) : NULL;
	go_on(o);
}

static void
on_account(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;
	const char *url;

	if (!r->is_good) {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	url = acme_text(r->http->json, "orders");
	if (url[0] != '\0')
		acme_order_ask(o, url, NULL, on_list);
	else
		acme_order_answer(o, ISSUER_NO_ORDER,
		    "the CA lists no orders, and one whose URL was lost "
		    "becomes no certificate",
		    0);
}

rc
acme_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct acme_order *o = order;

	o->look_up = arena_alloc(o->a, sizeof(*o->look_up));
	round_begin(o, done, arg);
	acme_order_ask(o, NULL, NULL, on_account);
	return RC_OK;
}
