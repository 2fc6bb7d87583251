/*
 * constraints: the name constraints of a CA (RFC 5280 section 4.2.1.10), of
 * DNS names and IP networks.
 *
 * A DNS name stands for itself and all names below it, with a leading dot for
 * those below it alone; a network is written as 192.0.2.0/24 or 2001:db8::/32.
 */
#ifndef COMMON_PKI_CERT_CONSTRAINTS_H
#define COMMON_PKI_CERT_CONSTRAINTS_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct cJSON;

#define CONSTRAINTS_MAX 100 /* subtrees of each list */

struct subtree {
	const char *text; /* in lower case; arena */
	size_t nip;       /* octets of the address: 4, 16; 0: a DNS name */
	uint8_t ip[32];   /* address and mask */
};

struct constraints { /* all in the arena */
	struct subtree *permitted, *excluded;
	size_t npermitted, nexcluded;
};

/* Of [{"permitted":[...],"excluded":[...]}], NULL: none.  RC_INVALID with
 * *out_why for whoever wrote it. */
rc constraints_read(struct arena *a, const struct cJSON *list,
    struct constraints *out, const char **out_why) MUST_CHECK;
/* Those of a certificate; RC_INVALID with *out_why where some are of other
 * kinds of names. */
rc constraints_of(struct arena *a, const X509 *ca, struct constraints *out,
    const char **out_why) MUST_CHECK;
/*
 * What a CA below parent may have: what it asks for must permit no name that
 * parent does not, and exclude all that parent excludes; where it asks for
 * nothing, it gets parent's.  RC_INVALID with *out_why.
 */
rc constraints_narrow(struct arena *a, const struct constraints *parent,
    struct constraints *child, const char **out_why) MUST_CHECK;
/* The critical extension; nothing where there are none. */
rc constraints_add(X509 *ca, const struct constraints *c) MUST_CHECK;
/* As constraints_read takes them; "[]" for none. */
const char *constraints_json(struct arena *a, const struct constraints *c);

#endif
