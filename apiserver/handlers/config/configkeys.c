#include "apiserver/handlers/config/configkeys.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "apiserver/handlers/config/check.h"
#include "apiserver/resources/secretkey.h"
#include "common/base/attr.h"

/* A shorter life is not given: its last third is what renewal and deployment
 * have.  certificate_profiles has the same limit. */
enum { LIFE_LEAST_S = 30 };

enum key_type {
	KEY_TEXT,    /* max characters */
	KEY_INT,     /* min to max */
	KEY_PATH,    /* of a file */
	KEY_PATHS,   /* of files */
	KEY_URLS,    /* of revocation lists */
	KEY_COMMAND, /* run without a shell */
	KEY_ACCOUNT, /* a user or group */
	KEY_HOST
};

static const struct key {
	const char *connector, *name;
	enum key_type type;
	int64_t min, max;
	bool is_required;
} keys[] = {
    {"GenericCA", "ca_common_name", KEY_TEXT, .max = 64},
    {"GenericCA", "validity_days", KEY_INT, 1, 3650},
    {"GenericCA", "validity_seconds", KEY_INT, LIFE_LEAST_S, 315360000},
    {"GenericCA", "ca_cert_path", KEY_PATH},
    {"GenericCA", "ca_key_path", KEY_PATH},
    {"GenericCA", "former_key_paths", KEY_PATHS},
    {"GenericCA", "crl_distribution_point_urls", KEY_URLS},
    {"OpenSSL", "sign_script", KEY_PATH, .is_required = true},
    {"OpenSSL", "revoke_script", KEY_PATH},
    {"OpenSSL", "crl_script", KEY_PATH},
    {"OpenSSL", "lookup_script", KEY_PATH},
    {"OpenSSL", "timeout_seconds", KEY_INT, 1, 600},
    {"NGINX", "cert_path", KEY_PATH, .is_required = true},
    {"NGINX", "key_path", KEY_PATH, .is_required = true},
    {"NGINX", "chain_path", KEY_PATH},
    {"NGINX", "cert_file_mode", KEY_INT, 0400, 0777},
    {"NGINX", "chain_file_mode", KEY_INT, 0400, 0777},
    {"NGINX", "key_file_mode", KEY_INT, 0400, 0777},
    {"NGINX", "cert_file_owner", KEY_ACCOUNT},
    {"NGINX", "chain_file_owner", KEY_ACCOUNT},
    {"NGINX", "key_file_owner", KEY_ACCOUNT},
    {"NGINX", "cert_file_group", KEY_ACCOUNT},
    {"NGINX", "chain_file_group", KEY_ACCOUNT},
    {"NGINX", "key_file_group", KEY_ACCOUNT},
    {"NGINX", "validate_command", KEY_COMMAND},
    {"NGINX", "reload_command", KEY_COMMAND},
    {"NGINX", "host", KEY_HOST},
    {"NGINX", "hostname", KEY_HOST},
    {"NGINX", "target", KEY_HOST},
    {"NGINX", "address", KEY_HOST},
    {"NGINX", "server_name", KEY_HOST},
    {"NGINX", "port", KEY_INT, 1, 65535},
};

static const char *
value_check(struct arena *a, const struct cJSON *config, const struct key *k)
{
	switch (k->type) {
	case KEY_INT:
		return check_int(a, config, k->name, k->min, k->max);
	case KEY_PATH:
		return check_path(a, config, k->name, k->is_required);
	case KEY_PATHS:
		return check_paths(a, config, k->name);
	case KEY_URLS:
		return check_urls(a, config, k->name);
	case KEY_COMMAND:
		return check_command(a, config, k->name);
	case KEY_ACCOUNT:
		return check_account(a, config, k->name);
	case KEY_HOST:
		return check_host(a, config, k->name);
	case KEY_TEXT:
	default:
		return check_text(a, config, k->name, k->max);
	}
}

const char *
configkeys_check(struct arena *a, const char *connector,
    const struct cJSON *config)
{
	const char *known[ARRAY_LEN(keys)], *why = NULL;
	size_t n = 0;

	for (size_t i = 0; why == NULL && i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].connector, connector) != 0)
			continue;
		known[n++] = keys[i].name;
		why = value_check(a, config, &keys[i]);
	}
	if (why == NULL)
		why = secretkey_refuse(a, config);
	return why == NULL ? check_known(a, config, known, n) : why;
}
