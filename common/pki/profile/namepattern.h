/*
 * namepattern: patterns that a profile sets for names.
 *
 * A regular expression of plain parts (characters, ".", sets, each perhaps
 * repeated), without groups, alternatives or counts.  It is matched in time
 * linear in the name: whoever writes a profile can stop nobody's loop.
 */
#ifndef COMMON_PKI_PROFILE_NAMEPATTERN_H
#define COMMON_PKI_PROFILE_NAMEPATTERN_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

#define NAMEPATTERN_MAX 255 /* bytes */
#define NAMEPATTERN_SPIFFE_MAX 512

struct namepattern; /* defined in namepattern.c */

/* RC_INVALID: *out_why (static) says what is wrong with the text. */
rc namepattern_read(struct arena *a, const char *text,
    const struct namepattern **out, const char **out_why) MUST_CHECK;
/* spiffe://<trust domain>/<path>, where "*" in the path stands for one or more
 * characters; RC_INVALID as above. */
rc namepattern_read_spiffe(struct arena *a, const char *text,
    const struct namepattern **out, const char **out_why) MUST_CHECK;
/* Whether it is the whole name.  Letters count as alike whatever their case,
 * but for SPIFFE's. */
bool namepattern_matches(const struct namepattern *p, const char *name);

#endif
