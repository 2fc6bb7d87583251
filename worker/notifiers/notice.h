/*
 * notice: one message to people, about one certificate or a thousand, and
 * the words it is told in.
 *
 * Names and messages come from rows that anybody may have written.  What
 * notice_* gives out is one line where it says line, holds nothing that can't
 * be seen, and is valid UTF-8; what a channel's own language takes for more
 * than text (HTML, mrkdwn, JSON) is the channel's to escape.
 */
#ifndef WORKER_NOTIFIERS_NOTICE_H
#define WORKER_NOTIFIERS_NOTICE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct notice {
	const char *id; /* the same however often it is sent */
	const char *type, *severity, *recipient;
	const char *created_at;     /* RFC 3339, of the oldest */
	const char *certificate_id; /* "" unless it is about one alone */
	int64_t now_unix;
	size_t total;             /* what it is about */
	const char *const *lines; /* of n of those, the messages */
	size_t n;
	/* What is said instead of all that, by mail; NULL: nothing. */
	const char *subject, *text, *html;
};

/* In one line, without what is hidden, max characters at most; "..." ends
 * what was cut. */
const char *notice_line(struct arena *a, const char *text, size_t max);
/* "ExpirationWarning", "ExpirationWarning: 1000 notifications". */
const char *notice_subject(struct arena *a, const struct notice *n);
/* The messages, a line each, max_lines at most, and how many there are
 * beyond them. */
const char *notice_body(struct arena *a, const struct notice *n,
    size_t max_lines);
/* What there is beyond so many lines: "and 900 more: ..."; "" for none. */
const char *notice_rest(struct arena *a, const struct notice *n,
    size_t max_lines);
/* What receivers know the matter by: a later warning of the same certificate
 * is the same matter. */
const char *notice_key(struct arena *a, const struct notice *n);

#endif
