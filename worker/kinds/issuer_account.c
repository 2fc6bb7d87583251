#include "worker/kinds/issuer_account.h"

#include "common/pki/key/key.h"
#include "worker/issuers/ca_open.h"

/* What the key of an issuer's account is sealed for. */
#define ACCOUNT_AAD "%s/account"

static void
free_key(void *arg)
{
	EVP_PKEY_free(arg);
}

enum op_next
issuer_account_ask(struct op *op, const char *issuer_id, op_step *loaded)
{
	return OP_QUERY(op, Q_ISSUER_ACCOUNT_KEY, loaded, issuer_id);
}

rc
issuer_account_open(struct op *op, const struct kind_env *env,
    const char *issuer_id, EVP_PKEY **out, const char **out_why)
{
	const char *why = "";
	EVP_PKEY *key;
	rc ret;

	ret = ca_open_key(op_arena(op), env->sealer,
	    op_printf(op, ACCOUNT_AAD, issuer_id), op_text(op, 0, "key_sealed"),
	    &key, &why);
	if (ret != RC_OK) {
		*out_why = op_printf(op, "of the issuer's account %s", why);
		return ret;
	}
	arena_defer(op_arena(op), free_key, key);
	*out = key;
	return RC_OK;
}

rc
issuer_account_make(struct op *op, const struct kind_env *env,
    const char *issuer_id, const char **out_sealed, const char **out_why)
{
	EVP_PKEY *key;
	rc ret;

	ret = key_new_p256(&key);
	if (ret != RC_OK) {
		*out_why = "no key can be made for the issuer's account";
		return ret;
	}
	ret = ca_seal_key(op_arena(op), env->sealer,
	    op_printf(op, ACCOUNT_AAD, issuer_id), key, out_sealed);
	EVP_PKEY_free(key);
	if (ret != RC_OK)
		*out_why = "the key of the issuer's account can't be sealed: "
			   "CERTCTL_CA_ENCRYPTION_KEY is too easy to guess, "
			   "make a better one";
	return ret;
}

enum op_next
issuer_account_keep(struct op *op, const char *issuer_id, const char *sealed,
    op_step *kept)
{
	return OP_QUERY(op, Q_ISSUER_ACCOUNT_KEEP, kept, issuer_id, sealed);
}
