/*
 * assemble: makes the parts of the process and joins them.
 *
 * The only file that knows all parts; they know struct api alone.
 */
#ifndef APISERVER_ASSEMBLE_H
#define APISERVER_ASSEMBLE_H

#include "apiserver/api.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/daemon/daemon.h"

/* RC_INVALID or RC_IO after a log line.  d outlives *out. */
rc api_new(const struct daemon *d, struct api **out) MUST_CHECK;
/* Reads the keys and the token anew, from files where the environment names
 * such; the old ones stay when the new ones cannot be used. */
void api_reload_keys(struct api *a);
/* Every route, as JSON on standard output. */
rc api_print_routes(const struct cfg *cfg) MUST_CHECK;
/* No op may be under way.  NULL is a no-op. */
void api_free(struct api *a);

#endif
