/*
 * jobs: the start steps of the jobs' routes, and what a job waits for in words.
 */
#ifndef APISERVER_HANDLERS_JOBS_JOBS_H
#define APISERVER_HANDLERS_JOBS_JOBS_H

#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

/* The object as it is answered. */
extern const struct field job_fields[];
extern const size_t job_nfields;

/*
 * Of what the database gives as the reason why a job or a certificate waits
 * (column "reason"): a sentence, in the arena; since or until when, "" where
 * the reason has no such moment.
 */
const char *job_reason_say(struct arena *a, const char *stored);
const char *cert_reason_say(struct arena *a, const char *stored);
const char *job_reason_since(struct arena *a, const char *stored);
const char *job_reason_until(struct arena *a, const char *stored);

op_step job_list;
op_step job_get;
op_step job_cancel;

#endif
