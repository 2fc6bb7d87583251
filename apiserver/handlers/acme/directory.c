/*
 * GET directory (RFC 8555 section 7.1.1) and new-nonce (section 7.2), and both
 * by POST-as-GET (section 6.3).
 *
 * What a directory says of its profile is remembered for a moment: clients read
 * it before each of their runs.
 */
#include <stdlib.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/handlers/acme/acme.h"
#include "apiserver/handlers/acme/answer.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/profile.h"
#include "apiserver/handlers/acme/signed.h"
#include "apiserver/live/cache.h"
#include "apiserver/live/nonces.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"

enum {
	PROFILE_MS = 2000,
	KEYS_WAIT_MS = 5000,
};

struct known {
	bool needs_eab;
};

static op_step directory_signed;
static op_step profile_read;
static op_step new_nonce_signed;
static op_step keys_read;

/* --- the directory --- */

static void
put_meta(struct json_w *w, const struct cfg *cfg, bool needs_eab)
{
	const char *const *caa = cfg_list(cfg, "acme_server_caa_identities");
	const char *tos = cfg_str(cfg, "acme_server_tos_url");
	const char *website = cfg_str(cfg, "acme_server_website");

	if (!*tos && !*website && !(caa && caa[0]) && !needs_eab)
		return;
	json_w_key(w, "meta");
	json_w_open(w, '{');
	json_w_kv_opt(w, "termsOfService", tos);
	json_w_kv_opt(w, "website", website);
	if (caa && caa[0]) {
		json_w_key(w, "caaIdentities");
		json_w_open(w, '[');
		for (size_t i = 0; caa[i]; i++)
			json_w_str(w, caa[i]);
		json_w_close(w, ']');
	}
	if (needs_eab)
		json_w_kv_bool(w, "externalAccountRequired", true);
	json_w_close(w, '}');
}

static enum op_next
answer(struct op *op, bool needs_eab)
{
	static const struct {
		const char *name, *path;
	} resources[] = {
	    {"newNonce", "new-nonce"},
	    {"newAccount", "new-account"},
	    {"newOrder", "new-order"},
	    {"revokeCert", "revoke-cert"},
	    {"keyChange", "key-change"},
	};
	const struct cfg *cfg = req_api(op)->cfg;
	struct json_w *w = reply_writer(op);
	const char *base = acme_base(op);

	json_w_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(resources); i++)
		json_w_kv(w, resources[i].name,
		    op_printf(op, "%s/%s", base, resources[i].path));
	if (cfg_bool(cfg, "acme_server_ari_enabled"))
		json_w_kv(w, "renewalInfo",
		    op_printf(op, "%s/renewal-info", base));
	put_meta(w, cfg, needs_eab);
	json_w_close(w, '}');
	acme_nonce_render(op_owner(op));
	reply_header(op, "Cache-Control", "public, max-age=0, no-cache");
	return reply_json(op, 200);
}

enum op_next
acme_directory_start(struct op *op)
{
	const struct known *k;
	const char *profile;
	enum op_next no;

	if (!acme_is_on(op, &no))
		return no;
	profile = acme_profile(op);
	k = cache_get(req_api(op)->acme_profiles, profile,
	    loop_now_ms(op_loop(op)));
	if (k)
		return answer(op, k->needs_eab);
	return OP_QUERY(op, Q_ACME_PROFILE, profile_read, profile);
}

static enum op_next
profile_read(struct op *op)
{
	struct acme_settings settings;
	struct known *k;
	enum op_next no;

	if (!acme_profile_read(op, op_result(op, 0), 0, &settings, &no))
		return no;
	k = mem_zalloc(sizeof(*k));
	k->needs_eab = settings.needs_eab;
	cache_put(req_api(op)->acme_profiles, acme_profile(op), k,
	    loop_now_ms(op_loop(op)), PROFILE_MS);
	return answer(op, k->needs_eab);
}

enum op_next
acme_directory_post_start(struct op *op)
{
	return acme_signed(op, ACME_KID | ACME_JWK, directory_signed);
}

static enum op_next
directory_signed(struct op *op)
{
	enum op_next no;

	if (!acme_is_read(op, &no))
		return no;
	return answer(op, acme_request(op)->settings.needs_eab);
}

/* --- new-nonce --- */

static enum op_next
answer_nonce(struct op *op)
{
	const struct request *r = op_owner(op);

	acme_headers(op);
	if (!r->nonce[0])
		return op_fail(op, RC_UNAVAILABLE,
		    "nonces cannot be made now; try again");
	reply_header(op, "Cache-Control", "no-store");
	return req_is_head(op) ? reply_bytes(op, 200, NULL, "", 0)
			       : reply_no_content(op);
}

enum op_next
acme_new_nonce_start(struct op *op)
{
	struct nonces *n = req_api(op)->nonces;
	char probe[NONCE_LEN + 1];
	enum op_next no;

	if (!acme_is_on(op, &no))
		return no;
	/* The first of a process that has just started, or after a crash of
	 * the database. */
	if (!nonces_make(n, probe) && nonces_ask(n, op))
		return op_park(op, KEYS_WAIT_MS, keys_read);
	return answer_nonce(op);
}

static enum op_next
keys_read(struct op *op)
{
	return answer_nonce(op);
}

enum op_next
acme_new_nonce_post_start(struct op *op)
{
	return acme_signed(op, ACME_KID | ACME_JWK, new_nonce_signed);
}

static enum op_next
new_nonce_signed(struct op *op)
{
	enum op_next no;

	return acme_is_read(op, &no) ? answer_nonce(op) : no;
}
