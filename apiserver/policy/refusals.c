#include "apiserver/policy/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/policy/lastwrite.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"

enum {
	TICK_MS = 1000,
	AUDIT_MS = 60000,
	ADDRESSES_MAX = 64,
	ADDRESS_MAX = 48,
	ACTOR_MAX = 256,
	ASKED_MAX = 160,
};

enum what { UNKNOWN_401, FORBIDDEN_403, LIMITED_429, NWHAT };
static const char *const names[NWHAT] = {"unauthenticated", "forbidden",
    "rate_limited"};

struct entry {
	char address[ADDRESS_MAX];
	char actor[ACTOR_MAX];
	char asked[ASKED_MAX];
	int64_t to_audit[NWHAT];
	int64_t audited_ms;
	bool is_audited;
};

/* Kept until the database has it. */
struct sent {
	char address[ADDRESS_MAX];
	int64_t counts[NWHAT];
};

struct refusals {
	struct loop *loop;
	struct db_pool *pool;
	struct timer *tick;
	size_t n;
	struct entry entries[ADDRESSES_MAX];
	struct entry others;
	struct db_req *req;
	size_t nsent; /* with req */
	struct sent sent[ADDRESSES_MAX + 1];
	struct lastwrite *flush;
};

static void on_tick(void *arg);
static void flush_on(struct refusals *f, rc last);

struct refusals *
refusals_new(struct loop *l, struct db_pool *pool)
{
	struct refusals *f = mem_zalloc(sizeof(*f));

	f->loop = l;
	f->pool = pool;
	f->tick = timer_new(l, on_tick, f);
	f->flush = lastwrite_new(l);
	(void)snprintf(f->others.address, sizeof(f->others.address), "others");
	return f;
}

/* --- counting --- */

static struct entry *
entry_of(struct refusals *f, const char *address)
{
	struct entry *e;

	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->entries[i].address, address) == 0)
			return &f->entries[i];
	}
	if (f->n == ADDRESSES_MAX || strcmp(f->others.address, address) == 0)
		return &f->others;
	e = &f->entries[f->n++];
	*e = (struct entry){0};
	(void)snprintf(e->address, sizeof(e->address), "%s", address);
	return e;
}

void
refusals_note(struct refusals *f, const char *address, int status,
    const char *actor, const char *method, const char *pattern)
{
	enum what what = status == 401   ? UNKNOWN_401
			 : status == 429 ? LIMITED_429
					 : FORBIDDEN_403;
	struct entry *e = entry_of(f, address);

	e->to_audit[what]++;
	(void)snprintf(e->actor, sizeof(e->actor), "%s", actor);
	(void)snprintf(e->asked, sizeof(e->asked), "%s %s", method, pattern);
	log_peer(LOG_WARN, "REFUSED", address, "%s: %d for %s%s%s", address,
	    status, e->asked, actor[0] ? " by " : "", actor);
	if (!timer_is_armed(f->tick))
		timer_arm(f->tick, TICK_MS);
}

static int64_t
sum(const int64_t counts[NWHAT])
{
	return counts[UNKNOWN_401] + counts[FORBIDDEN_403] +
	       counts[LIMITED_429];
}

static bool
has_any(const int64_t counts[NWHAT])
{
	return sum(counts) > 0;
}

/* --- telling --- */

static bool
is_due(const struct entry *e, int64_t now_ms)
{
	return has_any(e->to_audit) &&
	       (!e->is_audited || now_ms - e->audited_ms >= AUDIT_MS);
}

static const char *
details(struct arena *a, const struct entry *e)
{
	const char *text;
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	for (int i = 0; i < NWHAT; i++)
		json_w_kv_int(&w, names[i], e->to_audit[i]);
	json_w_kv(&w, "last_actor", e->actor);
	json_w_kv(&w, "last_request", e->asked);
	json_w_close(&w, '}');
	text = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return text;
}

/* An answer that got lost may mean that the event is there: then they count
 * twice, which is the lesser evil. */
static void
count_again(struct refusals *f)
{
	for (size_t i = 0; i < f->nsent; i++) {
		struct entry *e = entry_of(f, f->sent[i].address);

		for (int what = 0; what < NWHAT; what++)
			e->to_audit[what] += f->sent[i].counts[what];
	}
}

static void
on_audited(void *arg, struct db_outcome *o)
{
	struct refusals *f = arg;

	f->req = NULL;
	if (o->code != RC_OK) {
		count_again(f);
		log_error("REFUSED-AUDIT",
		    "refusals were not written to the audit trail, trying "
		    "again in a minute (%s): %s %s",
		    rc_name(o->code), o->error.sqlstate, o->error.message);
	}
	f->nsent = 0;
	if (lastwrite_is_on(f->flush))
		flush_on(f, o->code);
}

static void
put_sent(struct refusals *f, struct entry *e, int64_t now_ms)
{
	struct sent *s = &f->sent[f->nsent++];

	memcpy(s->address, e->address, sizeof(s->address));
	memcpy(s->counts, e->to_audit, sizeof(s->counts));
	memset(e->to_audit, 0, sizeof(e->to_audit));
	e->is_audited = true;
	e->audited_ms = now_ms;
}

/* No request is under way.  All, or those whose time has come. */
static void
audit(struct refusals *f, int64_t now_ms, bool all)
{
	const char *addresses[ADDRESSES_MAX + 1], *texts[ADDRESSES_MAX + 1];
	const char *params[2];
	struct arena *a = arena_new();

	for (size_t i = 0; i <= f->n; i++) {
		struct entry *e = i < f->n ? &f->entries[i] : &f->others;

		if (!(all ? has_any(e->to_audit) : is_due(e, now_ms)))
			continue;
		addresses[f->nsent] = e->address;
		texts[f->nsent] = details(a, e);
		put_sent(f, e, now_ms);
	}
	if (f->nsent > 0) {
		params[0] = db_text_array(a, addresses, f->nsent);
		params[1] = db_text_array(a, texts, f->nsent);
		f->req = db_submit(f->pool,
		    &(struct db_stmt){Q_AUDIT_REFUSALS, 2, params}, 1,
		    on_audited, f);
	}
	arena_free(a);
}

/* Addresses that were silent for a minute make room. */
static void
forget(struct refusals *f, int64_t now_ms)
{
	for (size_t i = f->n; i-- > 0;) {
		const struct entry *e = &f->entries[i];

		if (e->is_audited && !has_any(e->to_audit) &&
		    now_ms - e->audited_ms >= AUDIT_MS)
			f->entries[i] = f->entries[--f->n];
	}
}

static void
on_tick(void *arg)
{
	struct refusals *f = arg;
	int64_t now_ms = loop_now_ms(f->loop);

	if (!f->req)
		audit(f, now_ms, false);
	forget(f, now_ms);
	if (f->n > 0 || has_any(f->others.to_audit))
		timer_arm(f->tick, TICK_MS);
}

/* --- the end --- */

/* last: how the last write ended. */
static void
flush_on(struct refusals *f, rc last)
{
	if (last == RC_OK)
		audit(f, loop_now_ms(f->loop), true);
	if (!f->req)
		lastwrite_end(f->flush);
}

void
refusals_flush(struct refusals *f, int64_t patience_ms, loop_fn *done,
    void *arg)
{
	lastwrite_begin(f->flush, patience_ms, done, arg);
	if (!f->req)
		flush_on(f, RC_OK);
}

void
refusals_free(struct refusals *f)
{
	int64_t missing = 0;

	if (!f)
		return;
	for (size_t i = 0; i <= f->n; i++)
		missing +=
		    sum(i < f->n ? f->entries[i].to_audit : f->others.to_audit);
	for (size_t i = 0; i < f->nsent; i++)
		missing += sum(f->sent[i].counts);
	if (missing > 0)
		log_warn("REFUSED-AUDIT",
		    "%lld refusals are missing in the audit trail",
		    (long long)missing);
	db_forget(f->req);
	timer_free(f->tick);
	lastwrite_free(f->flush);
	free(f);
}
