/*
 * secretkey: how the secrets of a connector's configuration are shown, and that
 * they are kept: those whose names say so (common/cfg/secretname.h); nested
 * objects count.
 */
#ifndef APISERVER_RESOURCES_SECRETKEY_H
#define APISERVER_RESOURCES_SECRETKEY_H

#include "common/base/arena.h"
#include "common/json/json.h"

struct cJSON;

/* What stands in for a secret on the wire. */
#define SECRETKEY_MASK "********"

/* The configuration with every secret masked. */
void secretkey_put_masked(struct arena *a, struct json_w *w,
    const struct cJSON *value);
/*
 * NULL, or a message that names a mask in sent, a configuration or NULL, that
 * stands for nothing: stored (NULL: nothing is) has no value under its name, or
 * it stands deeper, where no update keeps what was.
 */
const char *secretkey_unkept(struct arena *a, const struct cJSON *sent,
    const struct cJSON *stored);
/*
 * NULL, or a message that names a secret in this member of an object: nothing
 * keeps it, so storing it readable is refused.  The mask itself
 * passes: an update keeps what is stored.
 */
const char *secretkey_refuse(struct arena *a, const struct cJSON *member);

#endif
