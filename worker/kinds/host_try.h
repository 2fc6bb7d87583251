/*
 * host_try: what failed on this host, tried again by the parts that found it,
 * and without a job.
 */
#ifndef WORKER_KINDS_HOST_TRY_H
#define WORKER_KINDS_HOST_TRY_H

#include <stdbool.h>

#include "worker/host_fault.h"
#include "worker/kinds/kind.h"

struct host_try; /* defined in host_try.c */

struct host_try *host_try_new(const struct kind_env *env);
/* NULL is a no-op. */
void host_try_free(struct host_try *t);

/* Whether it would do now, as host_faults_opts asks; arg is the host_try.  What
 * the database must be asked for is cleared later, when it has answered. */
bool host_try_is_over(void *arg, const struct host_fault *f);

#endif
