/*
 * certprofile: what a certificate profile demands of a request and of the
 * leaf that is made for it.
 *
 * The row of the profile is read as JSON, whatever hand wrote it: a rule that
 * can't be read allows nothing.  Sentences are for people, in the arena.
 */
#ifndef COMMON_PKI_PROFILE_CERTPROFILE_H
#define COMMON_PKI_PROFILE_CERTPROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/csr/csr.h"
#include "common/pki/profile/namepattern.h"

enum {
	CERTPROFILE_KEYS_MAX = 16,
	CERTPROFILE_EKUS_MAX = 16,
	CERTPROFILE_PATTERNS_MAX = 20,
	CERTPROFILE_ATTRIBUTES_MAX = 20,
	CERTPROFILE_ATTRIBUTE_MAX = 128 /* bytes of its name */
};

struct cJSON;

struct certprofile {
	const char *id;
	bool enabled, must_staple, allow_short_lived;
	int64_t max_ttl_s;        /* 0: none */
	const struct cJSON *keys; /* whatever it is */
	size_t nekus, npatterns, nattributes;
	const char **ekus;
	const struct namepattern *patterns[CERTPROFILE_PATTERNS_MAX];
	const struct namepattern *spiffe; /* NULL: none */
	const char **attributes;
};

/* The leaf that is to be made, or was made by a CA outside. */
struct certprofile_leaf {
	int64_t life_s;          /* both ends included */
	int64_t short_s;         /* a life under this is short */
	const char *const *ekus; /* NULL-terminated */
	bool must_staple;
	bool ends_with_ca; /* it lives no longer because its CA does not */
};

/* text: the row, columns as members.  RC_INVALID with *out_why: one of its
 * lists is none, or longer than may be. */
rc certprofile_read(struct arena *a, const char *text, struct certprofile *out,
    const char **out_why) MUST_CHECK;
/* p may be NULL: no profile, and the default keys are allowed.  RC_INVALID
 * with *out_why: a request that it does not allow. */
rc certprofile_allows_request(struct arena *a, const struct certprofile *p,
    const struct csr *csr, const char **out_why) MUST_CHECK;
/* One of its names, by its type and text alone. */
bool certprofile_allows_name(const struct certprofile *p,
    const struct san *name);
/* The same of the leaf. */
rc certprofile_allows_leaf(struct arena *a, const struct certprofile *p,
    const struct certprofile_leaf *leaf, const char **out_why) MUST_CHECK;
/* The name or dotted number of an attribute; its OID's content in the arena.
 * RC_INVALID: there is none of that name. */
rc certprofile_attribute(struct arena *a, const char *text,
    struct span *out_oid) MUST_CHECK;

#endif
