/*
 * secretkey: which members of a connector's configuration are secrets, and
 * how they are shown.
 *
 * The contract's rule by key name, narrowed: paths, modes and owners of files
 * are no secrets although their names contain "key"; nested objects count.
 */
#ifndef APISERVER_RESOURCES_SECRETKEY_H
#define APISERVER_RESOURCES_SECRETKEY_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/json/json.h"

struct cJSON;

/* What stands in for a secret on the wire. */
#define SECRETKEY_MASK "********"

bool secretkey_is(const char *key);
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
