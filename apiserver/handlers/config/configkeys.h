/*
 * configkeys: every key of every connector's configuration, in one table.
 *
 * What stands there is what agents, workers and the database obey: its type,
 * its range, whether it must be given.  Another key, or another spelling of
 * one, is refused by its name: nothing obeys it.
 */
#ifndef APISERVER_HANDLERS_CONFIG_CONFIGKEYS_H
#define APISERVER_HANDLERS_CONFIG_CONFIGKEYS_H

#include "common/base/arena.h"

struct cJSON;

/*
 * Whether this object (NULL for none) can be the configuration of a connector,
 * by the type that the API spells: NULL, or the message for the client, in the
 * arena.  Keys that say nothing (null, "") are as good as absent.
 */
const char *configkeys_check(struct arena *a, const char *connector,
    const struct cJSON *config);

#endif
