/*
 * mail_out: messages to a mail server (RFC 5321), as calls of an http_out.
 *
 * TLS from the first byte or by STARTTLS, never without where it was asked
 * for: a server that offers none gets neither a password nor a message.  Once
 * the server has said 250 to the whole message it is delivered; a connection
 * that is cut before that leaves it open whether it is.
 */
#ifndef COMMON_HTTP_MAIL_OUT_H
#define COMMON_HTTP_MAIL_OUT_H

#include <stdbool.h>

#include "common/http/http_out.h"

enum mail_tls { MAIL_TLS_STARTTLS, MAIL_TLS_AT_ONCE, MAIL_TLS_NONE };

struct mail_request { /* copied; texts may be secrets, and are wiped */
	const char *host;
	int port;
	enum mail_tls tls;
	const char *user; /* NULL: no authentication */
	const char *password;
	const char *from, *to; /* as mail_is_address has them */
	const char *message;   /* whole, lines end by CR LF */
	size_t len;
	int64_t timeout_ms;
};

/* What an envelope and a header can hold as it is: one "@", ASCII without
 * blanks, controls, quotes or brackets, 254 characters at most. */
bool mail_is_address(const char *text);
/*
 * done as in http_out.h, with the server's last code as status, also when the
 * call failed (0: it said nothing).  RC_UNAUTHENTICATED: no such user and
 * password.  RC_INVALID: an address or a limit.
 */
rc mail_out_start(struct http_out *h, const struct mail_request *req,
    http_done_fn *done, void *arg, struct http_call **out) MUST_CHECK;

#endif
