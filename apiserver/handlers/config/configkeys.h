/*
 * configkeys: the keys of a connector's configuration, as a table.
 *
 * What stands in one is what agents, workers and the database obey: its type,
 * its range, whether it must be given.  Another key, or another spelling of
 * one, is refused by its name: nothing obeys it.  The noun that knows a
 * connector's type has its table.
 */
#ifndef APISERVER_HANDLERS_CONFIG_CONFIGKEYS_H
#define APISERVER_HANDLERS_CONFIG_CONFIGKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct cJSON;

#define CONFIGKEYS_MAX 64 /* in a table */

enum configkey_type {
	KEY_TEXT,    /* max characters */
	KEY_INT,     /* min to max */
	KEY_PATH,    /* of a file */
	KEY_PATHS,   /* of files */
	KEY_URLS,    /* of revocation lists */
	KEY_COMMAND, /* run without a shell */
	KEY_ACCOUNT, /* a user or group */
	KEY_HOST
};

struct configkey {
	const char *name;
	enum configkey_type type;
	int64_t min, max;
	bool is_required;
};

/*
 * Whether this object (NULL for none) can be the configuration of a connector
 * with these n keys: NULL, or the message for the client, in the arena.  Keys
 * that say nothing (null, "") are as good as absent.
 */
const char *configkeys_check(struct arena *a, const struct configkey *keys,
    size_t n, const struct cJSON *config);

#endif
