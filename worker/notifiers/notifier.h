/*
 * notifier: a channel by which people are told, outside of this process.
 *
 * A channel is one file and one const struct: which settings switch it on,
 * and what a notice looks like there.  It makes a call and no more; sending
 * and the limits of the answer are notifier.c's, what an answer means is
 * answer.c's, the same for all.  When to try again is the database's
 * (kinds/notify.c).
 *
 * Call from the event loop only.
 */
#ifndef WORKER_NOTIFIERS_NOTIFIER_H
#define WORKER_NOTIFIERS_NOTIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/rc.h"
#include "common/http/http_out.h"
#include "common/http/mail_out.h"
#include "common/json/json.h"
#include "worker/notifiers/notice.h"

/* What operators set; "" is not set.  Texts are the configuration's. */
struct notifier_settings {
	const char *smtp_host, *smtp_user, *smtp_password, *smtp_from;
	int smtp_port;
	bool smtp_tls;
	const char *slack_url, *slack_channel, *slack_username;
	const char *teams_url;
	bool teams_is_card; /* the retired connectors' cards */
	const char *pagerduty_key, *pagerduty_severity, *pagerduty_url;
	const char *opsgenie_key, *opsgenie_priority, *opsgenie_url;
	const char *webhook_url, *webhook_secret;
	const char *const *digest_recipients; /* ended by NULL */
};

/* What is to be sent.  All lives in the arena or the settings. */
struct notifier_call {
	bool is_mail;
	struct mail_request mail;
	struct http_request http; /* its method is POST, its body is text */
	struct http_header headers[8];
	/* Never shown, should an answer repeat them; NULL ends. */
	const char *secrets[4];
};

struct notifier_ops {
	const char *channel; /* as rows spell it */
	const char *needs;   /* the variables that switch it on */
	bool (*is_on)(const struct notifier_settings *s);
	/* RC_INVALID: it can't be said there, *out_why for people. */
	rc (*build)(const struct notifier_settings *s, struct arena *a,
	    const struct notice *n, struct notifier_call *out,
	    const char **out_why);
};

enum notifier_verdict {
	NOTIFIER_SENT,
	NOTIFIER_LATER, /* the same may succeed another time */
	NOTIFIER_NEVER, /* it would be refused again */
	NOTIFIER_OFF,   /* not tried: nobody configured the channel */
};

struct notifier_answer {
	enum notifier_verdict verdict;
	int64_t wait_s;    /* LATER: not before; 0: it did not say */
	const char *words; /* in the arena; holds no secret */
};

/* Called once, never from inside the call that sends. */
typedef void notifier_done_fn(void *arg, const struct notifier_answer *answer);

/* All there are, NULL at the end. */
extern const struct notifier_ops *const notifiers[];
#define NOTIFIER(name) extern const struct notifier_ops notifier_##name;
#include "worker/notifiers/notifiers.def"
#undef NOTIFIER

/* NULL when there is none of that name. */
const struct notifier_ops *notifier_find(const char *channel);

struct notifier_env { /* outlives what is sent */
	const struct notifier_settings *settings;
	struct http_out *http; /* guarded */
	struct http_out *mail; /* the operator's own server, wherever it is */
	unsigned *under_way;   /* by channel, as they stand in notifiers[] */
};

/* Messages by one channel at once, of one worker: receivers limit their
 * connections, and one that is slow is not helped by more. */
#define NOTIFIER_PARALLEL 8
#define NOTIFIER(name) NOTIFIER_AT_##name,
enum {
#include "worker/notifiers/notifiers.def"
	NOTIFIER_COUNT
};
#undef NOTIFIER

/*
 * Builds and sends.  RC_INVALID: nothing leaves, *out_why says what is wrong
 * with it, and done is not called; RC_BUSY: so many are under way.  What is
 * under way ends with the arena.
 */
rc notifier_send(const struct notifier_env *env, struct arena *a,
    const struct notifier_ops *ops, const struct notice *n,
    notifier_done_fn *done, void *arg, const char **out_why) MUST_CHECK;

/* For channels whose URL is a secret: it, and its path, which a receiver may
 * repeat. */
void notifier_hide_url(struct notifier_call *c, const char *url);
/* For channels whose messages are JSON: one object, begun by the first and
 * posted by the second, which frees what the first took. */
struct notifier_json {
	struct buf b;
	struct json_w w;
};
struct json_w *notifier_json_begin(struct notifier_json *j);
void notifier_json_post(struct notifier_json *j, struct arena *a,
    struct notifier_call *c, const char *url);
/* Text in the arena, with each character as put writes it. */
const char *notifier_escape(struct arena *a, const char *text,
    void (*put)(struct buf *b, char c));

#endif
