/*
 * standing: what stands at the paths of an install before it is taken over,
 * and whether it may be.
 *
 * What is adopted is what one can go back to: a certificate and the key for
 * it, and at chain_path the chain of that certificate.  Nothing is changed
 * here.
 */
#ifndef AGENT_STANDING_H
#define AGENT_STANDING_H

#include <stdbool.h>
#include <sys/stat.h>

#include "agent/install_int.h"
#include "agent/spot.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct standing {
	const char *current; /* what T/current names, or "" */
	bool is_pair;        /* somebody's pair, to be copied first: */
	struct pair pair;
	struct stat cert_look, key_look, chain_look;
	char *key; /* what is to be wiped */
};

/* RC_INVALID when it may not be taken over, RC_CONFLICT when current is
 * somebody else's, RC_IO; *out_why.  standing_wipe after RC_OK; what it holds
 * lives as long as out. */
rc standing_read(struct arena *a, const struct install_paths *p,
    const struct spots *s, struct standing *out,
    const char **out_why) MUST_CHECK;
void standing_wipe(struct standing *t);
/* The certificate that cert_path shows now, be it whose it may.  RC_NOT_FOUND
 * and those of spot_read and install_open. */
rc standing_read_cert(struct arena *a, const struct install_paths *p,
    const struct spots *s, char **out, size_t *out_len) MUST_CHECK;

#endif
