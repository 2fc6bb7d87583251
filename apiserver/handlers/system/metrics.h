/*
 * metrics: what the files of the metrics share.
 */
#ifndef APISERVER_HANDLERS_SYSTEM_METRICS_H
#define APISERVER_HANDLERS_SYSTEM_METRICS_H

#include "apiserver/api.h"
#include "common/base/buf.h"

#define METRICS_PREFIX "certctl_"

/* name="value", escaped as the text format wants it. */
void metrics_put_label(struct buf *b, const char *name, const char *value);
/* The families of this process, which no row knows. */
void metrics_put_own(struct buf *b, const struct api *a);

#endif
