/*
 * event: a live event as it is sent: its place, its kind, by what it is
 * filtered, and its text.
 *
 * A place is what "id:" of the stream says and Last-Event-ID gives back:
 * "<batch>-<mark>-<seq>", or "<batch>-<mark>" behind the last event of a batch
 * (migrations/code/35_events.sql).  It means the same at every apiserver.
 */
#ifndef APISERVER_LIVE_EVENT_H
#define APISERVER_LIVE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"

enum event_kind {
	EVENT_AGENT,
	EVENT_CERTIFICATE,
	EVENT_CONDITION,
	EVENT_DEPLOYMENT,
	EVENT_DUTY,
	EVENT_HEALTH_CHECK,
	EVENT_JOB,
	EVENT_REPLACEMENT,
	EVENT_NKINDS,
	/* What no listener sees: somebody's key or role changed. */
	EVENT_ACCESS = EVENT_NKINDS,
	EVENT_RESET /* what was before is not known any more */
};

/* What a filter asks for. */
enum event_key {
	EVENT_KEY_AGENT,
	EVENT_KEY_CERTIFICATE,
	EVENT_KEY_CONDITION,
	EVENT_KEY_DUTY,
	EVENT_KEY_HEALTH_CHECK,
	EVENT_KEY_ISSUER,
	EVENT_KEY_JOB,
	EVENT_KEY_REPLACEMENT,
	EVENT_KEY_STATUS, /* the new one */
	EVENT_KEY_TARGET,
	EVENT_KEY_TEAM,
	EVENT_NKEYS
};

/* seq: of the event, or behind all of the batch. */
#define EVENT_SEQ_ALL INT64_MAX
#define EVENT_PLACE_MAX 64

struct event_place {
	int64_t batch;
	uint32_t mark;
	int64_t seq;
};

struct event {
	struct event_place place;
	enum event_kind kind;
	size_t size;                   /* of all of it */
	const char *keys[EVENT_NKEYS]; /* NULL: it has none */
	size_t len;
	const char *text; /* of the stream, its empty line too */
};

extern const char *const event_kind_names[EVENT_NKINDS];

/* Of a row of Q_EVENTS_LOOK; the caller frees it. */
struct event *event_of_row(const struct db_result *rows, size_t row);
/* One that says why clients have to ask anew, and where the stream goes on. */
struct event *event_reset(const struct event_place *place);

void event_place_text(const struct event_place *p, char out[EVENT_PLACE_MAX]);
/* RC_INVALID: it is none that event_place_text writes. */
rc event_place_read(const char *text, struct event_place *out) MUST_CHECK;
/* Below 0, 0, above 0: a comes before b, is it, comes behind it. */
int event_place_compare(const struct event_place *a,
    const struct event_place *b);

#endif
