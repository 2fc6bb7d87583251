#include "apiserver/live/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/resources/wiretime.h"
#include "common/base/buf.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/json/json.h"

#define API "/api/v1/"
#define MARK_LEN 8

enum {
	TEXT_MAX = 16 * 1024, /* names and ids are short */
};

const char *const event_kind_names[EVENT_NKINDS] = {
    [EVENT_AGENT] = "agent",
    [EVENT_CERTIFICATE] = "certificate",
    [EVENT_CONDITION] = "condition",
    [EVENT_DEPLOYMENT] = "deployment",
    [EVENT_DUTY] = "duty",
    [EVENT_HEALTH_CHECK] = "health_check",
    [EVENT_JOB] = "job",
    [EVENT_REPLACEMENT] = "replacement",
};

/* --- places --- */

void
event_place_text(const struct event_place *p, char out[EVENT_PLACE_MAX])
{
	if (p->seq == EVENT_SEQ_ALL)
		(void)snprintf(out, EVENT_PLACE_MAX, "%" PRId64 "-%08" PRIx32,
		    p->batch, p->mark);
	else
		(void)snprintf(out, EVENT_PLACE_MAX,
		    "%" PRId64 "-%08" PRIx32 "-%" PRId64, p->batch, p->mark,
		    p->seq);
}

rc
event_place_read(const char *text, struct event_place *out)
{
	char copy[EVENT_PLACE_MAX], *mark, *seq;
	uint8_t bytes[MARK_LEN / 2];
	struct event_place p = {.seq = EVENT_SEQ_ALL};
	rc ret;

	if (strlen(text) >= sizeof(copy))
		return RC_INVALID;
	(void)snprintf(copy, sizeof(copy), "%s", text);
	mark = strchr(copy, '-');
	if (!mark)
		return RC_INVALID;
	*mark++ = '\0';
	seq = strchr(mark, '-');
	if (seq)
		*seq++ = '\0';
	if (strlen(mark) != MARK_LEN || !enc_is_lower_hex(mark, MARK_LEN))
		return RC_INVALID;
	ret = enc_unhex(mark, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		p.mark = p.mark << 8 | bytes[i];
	/* The database keeps it as a number that is not negative. */
	if (ret == RC_OK && p.mark > INT32_MAX)
		ret = RC_INVALID;
	if (ret == RC_OK)
		ret = enc_parse_i64(copy, 1, INT64_MAX - 1, &p.batch);
	if (ret == RC_OK && seq)
		ret = enc_parse_i64(seq, 1, INT64_MAX - 1, &p.seq);
	if (ret == RC_OK)
		*out = p;
	return ret;
}

int
event_place_compare(const struct event_place *a, const struct event_place *b)
{
	if (a->batch != b->batch)
		return a->batch < b->batch ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return 0;
}

/* --- texts --- */

/* The event and all it points to, one allocation. */
static struct event *
make(const struct event_place *place, enum event_kind kind,
    const char *const keys[EVENT_NKEYS], const struct buf *text)
{
	size_t size = sizeof(struct event) + text->len + 1;
	struct event *e;
	char *at;

	for (size_t i = 0; i < EVENT_NKEYS; i++)
		size += keys[i] ? strlen(keys[i]) + 1 : 0;
	e = mem_zalloc(size);
	e->place = *place;
	e->kind = kind;
	e->size = size;
	at = (char *)(e + 1);
	for (size_t i = 0; i < EVENT_NKEYS; i++) {
		size_t len = keys[i] ? strlen(keys[i]) + 1 : 0;

		if (len == 0)
			continue;
		memcpy(at, keys[i], len);
		e->keys[i] = at;
		at += len;
	}
	memcpy(at, text->data ? text->data : "", text->len);
	e->text = at;
	e->len = text->len;
	return e;
}

static void
begin_text(struct buf *b, const struct event_place *place, const char *name)
{
	char id[EVENT_PLACE_MAX];

	event_place_text(place, id);
	buf_init(b, TEXT_MAX);
	buf_puts(b, "id: ");
	buf_puts(b, id);
	buf_puts(b, "\nevent: ");
	buf_puts(b, name);
	buf_puts(b, "\ndata: ");
}

struct event *
event_reset(const struct event_place *place)
{
	static const char *const no_keys[EVENT_NKEYS];
	struct event *e;
	struct json_w w;
	struct buf b;

	begin_text(&b, place, "reset");
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "kind", "reset");
	json_w_kv(&w, "message",
	    "what came before is not known any more: ask for the lists anew; "
	    "the events go on from here");
	json_w_close(&w, '}');
	buf_puts(&b, "\n\n");
	e = make(place, EVENT_RESET, no_keys, &b);
	buf_fini(&b);
	return e;
}

/* What no client sees: that it is one. */
static struct event *
access_event(const struct event_place *place)
{
	static const char *const no_keys[EVENT_NKEYS];
	const struct buf none = {0};

	return make(place, EVENT_ACCESS, no_keys, &none);
}

/* --- rows --- */

struct row {
	const struct db_result *rows;
	size_t n;
};

/* NULL for SQL NULL. */
static const char *
text_of(const struct row *r, const char *col)
{
	int c = db_col(r->rows, col);

	return db_is_null(r->rows, r->n, c) ? NULL : db_text(r->rows, r->n, c);
}

static enum event_kind
kind_of(const char *name)
{
	for (size_t i = 0; i < EVENT_NKINDS; i++) {
		if (strcmp(name, event_kind_names[i]) == 0)
			return (enum event_kind)i;
	}
	return EVENT_ACCESS; /* or one of a later version, which is not told */
}

static const char *
severity_of(const char *condition)
{
#define CRITICAL "critical"
#define WARNING "warning"
#define NOTICE "notice"
#define CONDITION(name, severity, what, detail, advice) {#name, severity},
	static const struct {
		const char *name, *severity;
	} known[] = {
#include "apiserver/conditions.def"
	};
#undef CONDITION

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i].name, condition) == 0)
			return known[i].severity;
	}
	return NULL;
}

static const char *
change_of(const struct row *r, enum event_kind kind)
{
	const char *was = text_of(r, "was"), *became = text_of(r, "became");
	const char *subject = text_of(r, "subject");

	if (kind == EVENT_CONDITION)
		return became ? "raised" : "cleared";
	if (kind == EVENT_CERTIFICATE && subject)
		return subject; /* "edited" */
	if (kind == EVENT_DUTY)
		return strcmp(became, "Running") == 0 ? "began" : "ended";
	if (!became)
		return "removed";
	if (kind == EVENT_DEPLOYMENT)
		return strcmp(became, "Failed") == 0 ? "failed" : "deployed";
	if (!was)
		return "created";
	if (strcmp(was, became) != 0)
		return "status";
	return kind == EVENT_REPLACEMENT ? "progress" : "renewed";
}

static void
put_href(struct json_w *w, const struct row *r, enum event_kind kind)
{
	const char *id = text_of(r, "id"), *of = text_of(r, "certificate_id");
	char href[300] = "";

	switch (kind) {
	case EVENT_AGENT:
		(void)snprintf(href, sizeof(href), API "agents/%s", id);
		break;
	case EVENT_CERTIFICATE:
		(void)snprintf(href, sizeof(href), API "certificates/%s", id);
		break;
	case EVENT_CONDITION:
		(void)snprintf(href, sizeof(href), API "admin/conditions");
		break;
	case EVENT_DEPLOYMENT:
		if (of)
			(void)snprintf(href, sizeof(href),
			    API "certificates/%s/deployments", of);
		break;
	case EVENT_DUTY:
		(void)snprintf(href, sizeof(href), API "admin/scheduler");
		break;
	case EVENT_HEALTH_CHECK:
		(void)snprintf(href, sizeof(href), API "health-checks/%s", id);
		break;
	case EVENT_JOB:
		(void)snprintf(href, sizeof(href), API "jobs/%s", id);
		break;
	case EVENT_REPLACEMENT:
		(void)snprintf(href, sizeof(href), API "replacements/%s", id);
		break;
	case EVENT_ACCESS:
	case EVENT_RESET:
		break;
	}
	json_w_kv_opt(w, "href", href);
}

static void
put_body(struct buf *b, const struct row *r, enum event_kind kind)
{
	static const char *const others[] = {"name", "type", "certificate_id",
	    "agent_id", "issuer_id", "target_id", "team_id"};
	const char *since = text_of(r, "since");
	struct json_w w;

	json_w_init(&w, b);
	json_w_open(&w, '{');
	json_w_kv(&w, "kind", event_kind_names[kind]);
	json_w_kv(&w, "id", text_of(r, "id"));
	json_w_kv(&w, "change", change_of(r, kind));
	json_w_key(&w, "status");
	json_w_open(&w, '{');
	json_w_kv(&w, "from", text_of(r, "was"));
	json_w_kv(&w, "to", text_of(r, "became"));
	json_w_close(&w, '}');
	json_w_key(&w, "at");
	wiretime_put(&w, text_of(r, "at"));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		json_w_kv_opt(&w, others[i], text_of(r, others[i]));
	if (kind == EVENT_CONDITION) {
		json_w_kv_opt(&w, "subject", text_of(r, "subject"));
		json_w_kv_opt(&w, "severity", severity_of(text_of(r, "id")));
	}
	if (since) {
		json_w_key(&w, "since");
		wiretime_put(&w, since);
	}
	put_href(&w, r, kind);
	json_w_close(&w, '}');
}

struct event *
event_of_row(const struct db_result *rows, size_t row)
{
	const struct row r = {rows, row};
	const struct event_place place = {
	    .batch = db_i64(rows, row, db_col(rows, "batch")),
	    .mark = (uint32_t)db_i64(rows, row, db_col(rows, "mark")),
	    .seq = db_i64(rows, row, db_col(rows, "seq")),
	};
	enum event_kind kind = kind_of(text_of(&r, "kind"));
	const char *id = text_of(&r, "id");
	const char *const keys[EVENT_NKEYS] = {
	    [EVENT_KEY_AGENT] = text_of(&r, "agent_id"),
	    [EVENT_KEY_CERTIFICATE] =
		kind == EVENT_CERTIFICATE ? id : text_of(&r, "certificate_id"),
	    [EVENT_KEY_CONDITION] = kind == EVENT_CONDITION ? id : NULL,
	    [EVENT_KEY_DUTY] = kind == EVENT_DUTY ? id : NULL,
	    [EVENT_KEY_HEALTH_CHECK] = kind == EVENT_HEALTH_CHECK ? id : NULL,
	    [EVENT_KEY_ISSUER] = text_of(&r, "issuer_id"),
	    [EVENT_KEY_JOB] = kind == EVENT_JOB ? id : NULL,
	    [EVENT_KEY_REPLACEMENT] = kind == EVENT_REPLACEMENT ? id : NULL,
	    [EVENT_KEY_STATUS] = text_of(&r, "became"),
	    [EVENT_KEY_TARGET] = text_of(&r, "target_id"),
	    [EVENT_KEY_TEAM] = text_of(&r, "team_id"),
	};
	struct event *e;
	struct buf b;

	if (kind == EVENT_ACCESS)
		return access_event(&place);
	begin_text(&b, &place, event_kind_names[kind]);
	put_body(&b, &r, kind);
	buf_puts(&b, "\n\n");
	if (!buf_ok(&b))
		buf_reset(&b); /* names past any limit of ours: not sent */
	e = make(&place, kind, keys, &b);
	buf_fini(&b);
	return e;
}
