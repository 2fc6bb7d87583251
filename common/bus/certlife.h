/*
 * certlife: whether the bus's own certificate would be taken by the others,
 * and when it ends.
 *
 * nng loads a certificate without asking whether the key is its own, whether
 * the bus's CA signed it or whether it has ended: the others would find out.
 */
#ifndef COMMON_BUS_CERTLIFE_H
#define COMMON_BUS_CERTLIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/bus.h"

struct certlife {
	int64_t begins_unix;
	int64_t ends_unix; /* the certificate's, or a CA's above it if sooner */
};

/* Of the first certificate in the file.  RC_INVALID: it can't be read. */
rc certlife_read(const struct bus_tls *files, struct certlife *out) MUST_CHECK;
/* Whether the key is the certificate's. */
bool certlife_is_pair(const struct bus_tls *files);
/* RC_INVALID: *out_why (static) says why the others would refuse it now. */
rc certlife_prove(const struct bus_tls *files, const char **out_why) MUST_CHECK;

#endif
