/*
 * configkey: a key of the configuration of what operators configure by the
 * API: issuers, targets.
 */
#ifndef COMMON_CFG_CONFIGKEY_H
#define COMMON_CFG_CONFIGKEY_H

#include <stdbool.h>
#include <stdint.h>

enum configkey_type {
	KEY_TEXT, /* max characters */
	KEY_INT,  /* min to max */
	KEY_BOOL,
	KEY_PATH,    /* of a file */
	KEY_PATHS,   /* of files */
	KEY_URLS,    /* of revocation lists */
	KEY_COMMAND, /* run without a shell */
	KEY_ACCOUNT, /* a user or group */
	KEY_HOST,
	KEY_SECRET /* max bytes; stored sealed to the workers */
};

struct configkey {
	const char *name;
	enum configkey_type type;
	int64_t min, max;
	bool is_required;
};

#endif
