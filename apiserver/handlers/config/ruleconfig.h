/*
 * ruleconfig: the config of a policy rule.  Each type has one key in it, and
 * another is refused by its name.
 */
#ifndef APISERVER_HANDLERS_CONFIG_RULECONFIG_H
#define APISERVER_HANDLERS_CONFIG_RULECONFIG_H

#include "common/base/arena.h"

struct cJSON;

/* NULL, or the message for the client, in the arena.  A type that is none is
 * told of by the field, not here.  config: an object. */
const char *ruleconfig_check(struct arena *a, const char *type,
    const struct cJSON *config);

#endif
