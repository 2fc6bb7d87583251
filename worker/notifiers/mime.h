/*
 * mime: a mail message as bytes (RFC 5322, 2045, 2047).
 *
 * Nothing that is put in can end a header or a part: what a header shows is
 * one line, encoded where it is not plain ASCII, and parts are base64.
 */
#ifndef WORKER_NOTIFIERS_MIME_H
#define WORKER_NOTIFIERS_MIME_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct mime_mail {
	const char *from, *to; /* as mail_is_address has them */
	const char *subject;   /* any text */
	const char *id;        /* of letters, digits and "-": its Message-ID */
	int64_t date_unix;
	const char *text, *html; /* UTF-8; lines end by "\n" */
};

/* In the arena; *out_len without the NUL. */
const char *mime_write(struct arena *a, const struct mime_mail *m,
    size_t *out_len);

#endif
