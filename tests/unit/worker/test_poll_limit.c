/* How long an order may take: the issuer, its type, all types, ten minutes. */
#include <stdlib.h>

#include "common/cfg/cfg.h"
#include "tests/unit/check.h"
#include "worker/issuers/issuer.h"

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "worker/cfg_keys.def"
#undef KEY
};

/* What the worker's settings make of an issuer's configuration. */
static int64_t
limit_s(const char *type, const char *config)
{
	struct arena *a = arena_new();
	struct issuer_env env = {0};
	struct cfg *cfg;
	int64_t s;

	CHECK_INT(cfg_load(keys, ARRAY_LEN(keys), &cfg), RC_OK);
	issuer_max_waits_read(cfg, &env.max_waits);
	s = issuer_poll_max_wait_s(&env, a, type, config);
	cfg_free(cfg);
	arena_free(a);
	return s;
}

static void
set_required(void)
{
	CHECK(setenv("CERTCTL_BUS_URLS", "ipc:///tmp/x", 1) == 0);
	CHECK(setenv("CERTCTL_DATABASE_URL", "postgresql://x", 1) == 0);
	CHECK(setenv("CERTCTL_ISSUANCE_JOURNAL_DIR", "/tmp", 1) == 0);
	CHECK(setenv("CERTCTL_CA_ENCRYPTION_KEY",
		  "0123456789abcdefghijklmnopqrstuv", 1) == 0);
}

static void
test_chain(void)
{
	static const char *const types[][2] = {
	    {"ACME", "CERTCTL_ACME_POLL_MAX_WAIT_SECONDS"},
	    {"AWSACMPCA", "CERTCTL_AWSACMPCA_POLL_MAX_WAIT_SECONDS"},
	    {"DigiCert", "CERTCTL_DIGICERT_POLL_MAX_WAIT_SECONDS"},
	    {"EJBCA", "CERTCTL_EJBCA_POLL_MAX_WAIT_SECONDS"},
	    {"Entrust", "CERTCTL_ENTRUST_POLL_MAX_WAIT_SECONDS"},
	    {"GlobalSign", "CERTCTL_GLOBALSIGN_POLL_MAX_WAIT_SECONDS"},
	    {"OpenSSL", "CERTCTL_OPENSSL_POLL_MAX_WAIT_SECONDS"},
	    {"Sectigo", "CERTCTL_SECTIGO_POLL_MAX_WAIT_SECONDS"},
	};
	const char *all = "CERTCTL_ASYNC_POLL_MAX_WAIT_SECONDS";

	set_required();
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const char *type = types[i][0], *own = types[i][1];

		CHECK(issuer_find(issuers_outside, type) != NULL);
		CHECK_INT(limit_s(type, "{}"), 600);
		CHECK(setenv(all, "1200", 1) == 0);
		CHECK_INT(limit_s(type, "{}"), 1200);
		CHECK(setenv(own, "1800", 1) == 0);
		CHECK_INT(limit_s(type, "{}"), 1800);
		CHECK_INT(limit_s("Another", "{}"), 1200);
		CHECK_INT(limit_s(type, "{\"poll_max_wait_seconds\":0}"), 1800);
		CHECK_INT(limit_s(type, "{\"poll_max_wait_seconds\":60}"), 60);
		CHECK(unsetenv(all) == 0);
		CHECK_INT(limit_s(type, "{}"), 1800);
		/* 0 says nothing. */
		CHECK(setenv(own, "0", 1) == 0);
		CHECK_INT(limit_s(type, "{}"), 600);
		CHECK(unsetenv(own) == 0);
	}
}

CHECK_MAIN(CHECK_ROW(test_chain))
