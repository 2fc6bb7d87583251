/*
 * keyring: the API keys that the environment names, the token that lets agents
 * register, and the one that lets somebody become the first administrator.
 *
 * Only SHA-256 hashes are kept.  Hashes are compared in constant time, and
 * always all of them, so that the time says nothing about which one is near.
 */
#ifndef APISERVER_POLICY_KEYRING_H
#define APISERVER_POLICY_KEYRING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define KEYRING_NAME_MAX 64

struct keyring; /* defined in keyring.c */

/*
 * named: "name:key" or "name:key:admin", NULL-terminated; one name with two
 * keys is a rotation under way.  secrets: keys that are admin, named
 * legacy-key-0 and so on.  token: the agents', bootstrap: the first
 * administrator's; "" for none, and never the same.  RC_INVALID after a log
 * line that says which entry is wrong or weak, never what stands in it; one
 * that is short is warned of.
 */
rc keyring_new(const char *const *named, const char *const *secrets,
    const char *token, const char *bootstrap, struct keyring **out) MUST_CHECK;
void keyring_free(struct keyring *k);
size_t keyring_size(const struct keyring *k);
/* Of key i, below keyring_size; lives as long as the keyring.  A name stands
 * twice while its key is rotated. */
const char *keyring_name(const struct keyring *k, size_t i, bool *out_is_admin);
bool keyring_has_name(const struct keyring *k, const char *name,
    bool *out_is_admin);
bool keyring_has_admin(const struct keyring *k);
/* hash: 64 lower-case hex digits.  The name lives as long as the keyring. */
bool keyring_find(const struct keyring *k, const char *hash,
    const char **out_name, bool *out_is_admin);
bool keyring_is_token(const struct keyring *k, const char *hash);
bool keyring_has_bootstrap(const struct keyring *k);
bool keyring_is_bootstrap(const struct keyring *k, const char *hash);

#endif
