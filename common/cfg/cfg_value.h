/*
 * cfg_value: text of one configuration value to its meaning, and its rule in
 * words.  Private to common/cfg.
 */
#ifndef COMMON_CFG_CFG_VALUE_H
#define COMMON_CFG_CFG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/rc.h"
#include "common/cfg/cfg.h"

struct cfg_value {
	char *text; /* as given, or the default; never NULL once parsed */
	int64_t number;
	bool truth;
	char **list; /* NULL-terminated */
	bool is_set; /* by the environment */
};

/* RC_INVALID: outside the rule of cfg_value_rule; v is to be freed anyway. */
rc cfg_value_parse(const struct cfg_key *key, const char *text,
    struct cfg_value *v) MUST_CHECK;
/* Wipes and frees what v holds. */
void cfg_value_fini(struct cfg_value *v);
/* The default as a value: an enum's first word. */
const char *cfg_value_default(const struct cfg_key *key, struct buf *scratch);
/* "a whole number from 1 to 65535" */
void cfg_value_rule(const struct cfg_key *key, struct buf *out);

#endif
