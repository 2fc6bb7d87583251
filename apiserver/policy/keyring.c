#include "apiserver/policy/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/weak.h"
#include "common/log/log.h"

struct key {
	char name[KEYRING_NAME_MAX + 1];
	char hash[65];
	bool is_admin;
};

struct keyring {
	size_t n;
	struct key *keys;
	/* "" for none */
	char token_hash[65];
	char bootstrap_hash[65];
};

static void
warn_if_short(const char *what, size_t len)
{
	if (weak_is_short(len))
		log_warn("AUTH-WEAK",
		    "%s has fewer than %d characters; make a longer one "
		    "with: " WEAK_REMEDY,
		    what, WEAK_LENGTH_GOOD);
}

/* NULL, or what is wrong. */
static const char *
check_new(const struct keyring *k, const struct key *made)
{
	for (size_t i = 0; i < k->n; i++) {
		if (strcmp(k->keys[i].hash, made->hash) == 0)
			return "the same key stands there twice";
		if (strcmp(k->keys[i].name, made->name) == 0 &&
		    k->keys[i].is_admin != made->is_admin)
			return "both keys of one name must be admin or "
			       "neither";
	}
	return NULL;
}

static const char *
add_key(struct keyring *k, const char *name, size_t name_len, const char *key,
    size_t key_len, bool is_admin)
{
	struct key made = {.is_admin = is_admin};
	const char *why;

	if (name_len == 0 || name_len > KEYRING_NAME_MAX || name[0] == '-' ||
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789_-") < name_len)
		return "the name must be 1 to 64 of A-Z a-z 0-9 _ -, not - "
		       "first";
	if (key_len == 0)
		return "the key is empty";
	if (weak_is_refused(key, key_len))
		return WEAK_WHY;
	memcpy(made.name, name, name_len);
	enc_sha256_hex(key, key_len, made.hash);
	why = check_new(k, &made);
	if (why)
		return why;
	k->keys = mem_realloc(k->keys, k->n + 1, sizeof(made));
	k->keys[k->n++] = made;
	warn_if_short(made.name, key_len);
	return NULL;
}

/* name:key[:admin] */
static const char *
add_named(struct keyring *k, const char *entry)
{
	const char *key = strchr(entry, ':'), *flag;
	size_t name_len;

	if (!key)
		return "it is not name:key or name:key:admin";
	name_len = (size_t)(key - entry);
	key++;
	flag = strchr(key, ':');
	if (flag && strcmp(flag, ":admin") != 0)
		return "it is not name:key or name:key:admin";
	return add_key(k, entry, name_len, key,
	    flag ? (size_t)(flag - key) : strlen(key), flag != NULL);
}

/* why: NULL when all is well. */
static void
complain(const char *variable, size_t i, const char *why, rc *out)
{
	if (!why)
		return;
	log_error("AUTH-KEYS", "%s, entry %zu: %s", variable, i + 1, why);
	*out = RC_INVALID;
}

static void
add_token(const char *variable, const char *token, char hash[65], rc *out)
{
	if (!*token)
		return;
	if (weak_is_refused(token, strlen(token))) {
		log_error("AUTH-KEYS", "%s: %s", variable, WEAK_WHY);
		*out = RC_INVALID;
		return;
	}
	enc_sha256_hex(token, strlen(token), hash);
	warn_if_short(variable, strlen(token));
}

rc
keyring_new(const char *const *named, const char *const *secrets,
    const char *token, const char *bootstrap, struct keyring **out)
{
	struct keyring *k = mem_zalloc(sizeof(*k));
	char name[KEYRING_NAME_MAX];
	rc ret = RC_OK;

	/* Goes on after a mistake: one start names them all. */
	for (size_t i = 0; named && named[i]; i++)
		complain("CERTCTL_API_KEYS_NAMED", i, add_named(k, named[i]),
		    &ret);
	for (size_t i = 0; secrets && secrets[i]; i++) {
		(void)snprintf(name, sizeof(name), "legacy-key-%zu", i);
		complain("CERTCTL_AUTH_SECRET", i,
		    add_key(k, name, strlen(name), secrets[i],
			strlen(secrets[i]), true),
		    &ret);
	}
	add_token("CERTCTL_AGENT_BOOTSTRAP_TOKEN", token, k->token_hash, &ret);
	add_token("CERTCTL_BOOTSTRAP_TOKEN", bootstrap, k->bootstrap_hash,
	    &ret);
	if (*bootstrap && strcmp(bootstrap, token) == 0) {
		log_error("AUTH-KEYS",
		    "CERTCTL_BOOTSTRAP_TOKEN: it is the agents' token, too: "
		    "every host would have an administrator's; make another "
		    "one with: " WEAK_REMEDY);
		ret = RC_INVALID;
	}
	if (ret != RC_OK) {
		keyring_free(k);
		return ret;
	}
	*out = k;
	return RC_OK;
}

void
keyring_free(struct keyring *k)
{
	if (!k)
		return;
	free(k->keys);
	free(k);
}

size_t
keyring_size(const struct keyring *k)
{
	return k->n;
}

const char *
keyring_name(const struct keyring *k, size_t i, bool *out_is_admin)
{
	*out_is_admin = k->keys[i].is_admin;
	return k->keys[i].name;
}

bool
keyring_has_name(const struct keyring *k, const char *name, bool *out_is_admin)
{
	for (size_t i = 0; i < k->n; i++) {
		if (strcmp(k->keys[i].name, name) == 0) {
			*out_is_admin = k->keys[i].is_admin;
			return true;
		}
	}
	return false;
}

bool
keyring_has_admin(const struct keyring *k)
{
	for (size_t i = 0; i < k->n; i++) {
		if (k->keys[i].is_admin)
			return true;
	}
	return false;
}

bool
keyring_find(const struct keyring *k, const char *hash, const char **out_name,
    bool *out_is_admin)
{
	const struct key *found = NULL;

	for (size_t i = 0; i < k->n; i++) {
		if (enc_equal_ct(k->keys[i].hash, hash))
			found = &k->keys[i];
	}
	if (!found)
		return false;
	*out_name = found->name;
	*out_is_admin = found->is_admin;
	return true;
}

bool
keyring_is_token(const struct keyring *k, const char *hash)
{
	return k->token_hash[0] && enc_equal_ct(k->token_hash, hash);
}

bool
keyring_has_bootstrap(const struct keyring *k)
{
	return k->bootstrap_hash[0] != '\0';
}

bool
keyring_is_bootstrap(const struct keyring *k, const char *hash)
{
	return keyring_has_bootstrap(k) &&
	       enc_equal_ct(k->bootstrap_hash, hash);
}
