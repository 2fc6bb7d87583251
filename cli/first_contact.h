/*
 * first_contact: what a server shows before anybody trusts it.
 *
 * The handshake alone: no request and no key goes to it.
 */
#ifndef CLI_FIRST_CONTACT_H
#define CLI_FIRST_CONTACT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"

struct cli;

enum { FIRST_CONTACT_MAX = 16 };

struct first_contact {
	size_t n; /* 1 at least; the server's own first, then those above */
	struct first_contact_cert {
		const char *pem;
		const char *subject;         /* one harmless line */
		char fingerprint_sha256[65]; /* of the DER, lower-case hex */
		bool is_ca;
	} certs[FIRST_CONTACT_MAX];
};

/* EXIT_UNREACHABLE with a message. */
int first_contact(struct cli *c, const char *server,
    struct first_contact *out) MUST_CHECK;
/* 64 hex digits of either case, with colons between bytes or none, and
 * perhaps "SHA256:" before; false: it is none. */
bool first_contact_read_fingerprint(const char *text, char out[65]);
/* The certificate with that fingerprint, or NULL. */
const struct first_contact_cert *
first_contact_find(const struct first_contact *f, const char *fingerprint);

#endif
