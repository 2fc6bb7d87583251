/*
 * issuer_config: how connectors read an issuer's configuration.
 *
 * The keys and their kinds stand in common/issuer/issuers.def, and the API has
 * held to them what it stored; here a connector takes the values.  The first
 * thing that is wrong stays, and nothing is read after it, so a connector reads
 * all that it wants and looks once.
 */
#ifndef WORKER_ISSUERS_ISSUER_CONFIG_H
#define WORKER_ISSUERS_ISSUER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "worker/issuers/issuer.h"

struct cJSON;

struct issuer_config {
	const char *type;
	const struct issuer_env *env;
	struct arena *a;
	const struct cJSON *object;
	rc code;         /* RC_OK so far */
	const char *why; /* it is not */
};

/* type: of the connector.  text is JSON; what is read lives in the arena. */
void issuer_config_start(struct issuer_config *c, const char *type,
    const struct issuer_env *env, struct arena *a, const char *text);
/* Of a key that is absent the value stays. */
void issuer_config_text(struct issuer_config *c, const char *name,
    const char **out);
void issuer_config_int(struct issuer_config *c, const char *name, int64_t *out);
/* Where calls go, without a "/" at its end: one of the CA's own, of which the
 * first is meant where the key is absent (it may have none), or one that the
 * workers' host allows. */
void issuer_config_url(struct issuer_config *c, const char *name,
    const char *const *own, const char **out);
/* The secret of that key (KEY_SECRET), opened, one line of text, wiped with the
 * arena.  Of one that is absent the value stays. */
void issuer_config_secret(struct issuer_config *c, const char *name,
    const char **out);
/* The same of a text of several lines. */
void issuer_config_document(struct issuer_config *c, const char *name,
    const char **out);
/* Our certificate as a TLS client and its key, in the files that the keys name:
 * *out is what calls are then made with (issuer_pair.h). */
void issuer_config_pair(struct issuer_config *c, const char *cert_name,
    const char *key_name, const struct issuer_env **out);
/* The text of a key's file, and roots in a file that calls then trust alone
 * (none where the key is absent): likewise. */
void issuer_config_key_file(struct issuer_config *c, const char *name,
    const char **out);
void issuer_config_roots(struct issuer_config *c, const char *name,
    const struct issuer_env **out);
/* RC_INVALID with that text, for people, if it is so. */
void issuer_config_refuse_if(struct issuer_config *c, bool is_wrong,
    const char *why);
/* RC_INVALID: the configuration; RC_IO: this host; with *out_why. */
rc issuer_config_end(const struct issuer_config *c,
    const char **out_why) MUST_CHECK;

#endif
