/*
 * faults: what is wrong as this process sees it, and no row can say: commits
 * wait for a standby, the database's disk is full, the server or a pooler
 * before it needs mending, or a certificate of the bus ends.  They are
 * conditions beside those of the view (apiserver/conditions.def).
 */
#ifndef APISERVER_LIVE_FAULTS_H
#define APISERVER_LIVE_FAULTS_H

#include "apiserver/api.h"
#include "common/base/arena.h"

enum { FAULTS_NPARAMS = 3 };

struct faults; /* defined in faults.c */

struct faults *faults_new(const struct api *api);
/* NULL is a no-op. */
void faults_free(struct faults *f);
/* NULL, or why a request that writes fails; static text. */
const char *faults_trouble(const struct api *a);
/* NULL, or what somebody has to mend whether or not requests are served yet;
 * static text. */
const char *faults_warning(const struct api *a);
/* Those there are as arrays in SQL's text, in the arena: names, since when in
 * Unix milliseconds, details. */
void faults_params(struct faults *f, struct arena *a,
    const char *out_params[FAULTS_NPARAMS]);

#endif
