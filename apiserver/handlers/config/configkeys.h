/*
 * configkeys: the keys of a connector's configuration, as a table.
 *
 * What stands in one is what agents, workers and the database obey: its type,
 * its range, whether it must be given.  Another key, or another spelling of
 * one, is refused by its name: nothing obeys it.  Issuers' tables are those of
 * common/issuer/issuers.def, targets' the noun's.
 */
#ifndef APISERVER_HANDLERS_CONFIG_CONFIGKEYS_H
#define APISERVER_HANDLERS_CONFIG_CONFIGKEYS_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/cfg/configkey.h"

struct cJSON;

#define CONFIGKEYS_MAX 64 /* in a table */

/*
 * Whether this object (NULL for none) can be the configuration of a connector
 * with these n keys: NULL, or the message for the client, in the arena.  Keys
 * that say nothing (null, "") are as good as absent.
 */
const char *configkeys_check(struct arena *a, const struct configkey *keys,
    size_t n, const struct cJSON *config);

#endif
