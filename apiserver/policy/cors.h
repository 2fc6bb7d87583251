/*
 * cors: which other origins' pages may read our answers (Fetch standard,
 * section 3.2).
 *
 * Only CERTCTL_CORS_ORIGINS are let in, each as browsers write it; the routes
 * that anybody may read say so themselves (ROUTE_ANY_ORIGIN).  No page gets
 * credentials along: keys are sent by the page, never by the browser.
 */
#ifndef APISERVER_POLICY_CORS_H
#define APISERVER_POLICY_CORS_H

#include "common/base/attr.h"
#include "common/base/rc.h"

struct request;

/* origins: NULL-terminated, or NULL: none.  RC_INVALID: one of them is no
 * origin; logged. */
rc cors_check(const char *const *origins) MUST_CHECK;
/* Adds what the page that r came from needs to read the answer; origins: as
 * above, and they outlive r. */
void cors_tell(struct request *r, const char *const *origins);

#endif
