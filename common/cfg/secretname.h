/*
 * secretname: which members of a connector's configuration are secrets, by
 * their names.
 *
 * The contract's rule by key name, narrowed: paths, modes and owners of files
 * are no secrets although their names contain "key".
 */
#ifndef COMMON_CFG_SECRETNAME_H
#define COMMON_CFG_SECRETNAME_H

#include <stdbool.h>

bool secretname_is(const char *key);

#endif
