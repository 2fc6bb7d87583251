/*
 * check: pieces for the checks of connectors' configurations.  Each gives
 * NULL, or the message for the client, in the arena.
 */
#ifndef APISERVER_HANDLERS_CONFIG_CHECK_H
#define APISERVER_HANDLERS_CONFIG_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct cJSON;

const char *check_text(struct arena *a, const struct cJSON *config,
    const char *key, int64_t max);
/* A whole number within the range. */
const char *check_int(struct arena *a, const struct cJSON *config,
    const char *key, int64_t min, int64_t max);
const char *check_bool(struct arena *a, const struct cJSON *config,
    const char *key);
/* An absolute path of a file, without "..". */
const char *check_path(struct arena *a, const struct cJSON *config,
    const char *key, bool is_required);
/* An array of such paths, of eight at most. */
const char *check_paths(struct arena *a, const struct cJSON *config,
    const char *key);
/* A command without a shell: a string that obeys the shell rule of the
 * contract, or an array of arguments. */
const char *check_command(struct arena *a, const struct cJSON *config,
    const char *key);
/* The name or number of a user or group of some host. */
const char *check_account(struct arena *a, const struct cJSON *config,
    const char *key);
/* An array of http and https addresses, as many and as long as a leaf takes
 * for its revocation lists. */
const char *check_urls(struct arena *a, const struct cJSON *config,
    const char *key);
/* A host name, not a wildcard, or an IP address. */
const char *check_host(struct arena *a, const struct cJSON *config,
    const char *key);
/* No member but these n, in this spelling, unless it says nothing (null, "") or
 * is the mask of a stored secret: what nothing obeys is not accepted. */
const char *check_known(struct arena *a, const struct cJSON *config,
    const char *const *known, size_t n);
/* Whether the key is there and not null and not "". */
bool check_has(const struct cJSON *config, const char *key);

#endif
