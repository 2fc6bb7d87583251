/*
 * Answers of renewal-info are kept for a second, those of unknown certificates
 * too, and what several ask for is one statement.
 */
#include <stdlib.h>
#include <string.h>

#include "apiserver/handlers/acme/keys.h"
#include "apiserver/live/cache.h"
#include "apiserver/live/gather.h"
#include "apiserver/live/nonces.h"
#include "common/cfg/cfg.h"
#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

/* The certificate of RFC 9773 appendix A; the script makes \n of \v. */
#define LEAF \
	"-----BEGIN CERTIFICATE-----\v" \
	"MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\v" \
	"cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\v" \
	"BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\v" \
	"7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\v" \
	"qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\v" \
	"yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\v" \
	"+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\v" \
	"-----END CERTIFICATE-----\v"
#define SERIAL "0000000000000000000000000000000087654321"
#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define COLUMNS "at|pem|starts_at|ends_at"

static const char known[] = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
/* Another issuer's, of the same serial. */
static const char unknown[] = "aYhba4dGQEHhs3uEe6CuLN4ByNU.AIdlQyE";

static const struct route route = {"GET",
    "/api/v1/acme/renewal-info/{certid:certid}", NULL, acme_renewal_info_start,
    .own = {.access = ROUTE_PUBLIC}};

static struct cfg *
settings(void)
{
	static const struct cfg_key keys[] = {
	    {"acme_server_default_profile_id", "ARI_PROFILE", CFG_STRING,
		"prof", 0, 99, 0, ""},
	    {"acme_server_ari_enabled", "ARI_ENABLED", CFG_BOOL, "true", 0, 0,
		0, ""},
	    {"acme_server_ari_poll_interval", "ARI_POLL", CFG_DURATION, "6h", 0,
		86400000, 0, ""},
	};
	struct cfg *cfg = NULL;
	rc ret;

	ret = cfg_load(keys, ARRAY_LEN(keys), &cfg);
	if (ret != RC_OK)
		abort();
	return cfg;
}

static struct cfg *cfg;

static void
init(struct fixture *f)
{
	struct api *a = &f->api;

	fixture_init(f);
	a->cfg = cfg = settings();
	a->acme_windows = gather_new(a->loop, f->db, Q_ACME_RENEWAL_INFO, NULL);
	a->acme_kept = cache_new(2, free);
	a->acme_unknown = cache_new(2, NULL);
	db_script_expect(f->db, Q_ACME_NONCE_KEYS, NULL);
	db_script_rows(f->db, "id|key", "00000000000000aa|" KEY);
	a->nonces = nonces_new(a->loop, f->db, 60000);
	loop_sim_advance(a->loop, 1);
}

static void
fini(struct fixture *f)
{
	loop_sim_advance(f->api.loop, 0);
	CHECK(db_script_is_done(f->db));
	nonces_free(f->api.nonces);
	gather_free(f->api.acme_windows);
	cache_free(f->api.acme_kept);
	cache_free(f->api.acme_unknown);
	fixture_fini(f);
	cfg_free(cfg);
}

static void
ask(struct fixture *f, const char *certid, struct answer *answer)
{
	char target[160];

	(void)snprintf(target, sizeof(target), "/api/v1/acme/renewal-info/%s",
	    certid);
	fixture_request(f, &route, "GET", target, "", answer);
}

static void
expect(struct fixture *f, const char *serials, const char *rows)
{
	db_script_expect(f->db, Q_ACME_RENEWAL_INFO, serials);
	db_script_rows(f->db, COLUMNS, rows);
}

static void
test_kept_for_a_second(void)
{
	struct answer a[4] = {0};
	struct fixture f;

	init(&f);
	expect(&f, "{\"" SERIAL "\"}",
	    "1|x|2026-01-01 00:00:00|2026-01-02 00:00:00\n"
	    "1|" LEAF "|2026-02-01 00:00:00|2026-03-01 00:00:00");
	ask(&f, known, &a[0]);
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT(a[0].status, 200);
	CHECK_STR(a[0].body,
	    "{\"suggestedWindow\":{\"start\":\"2026-02-01T00:00:00Z\","
	    "\"end\":\"2026-03-01T00:00:00Z\"}}\n");
	loop_sim_advance(f.api.loop, 990);
	ask(&f, known, &a[1]); /* no statement: the script expects none */
	loop_sim_advance(f.api.loop, 0);
	CHECK_STR(a[1].body, a[0].body);
	loop_sim_advance(f.api.loop, 20);
	expect(&f, "{\"" SERIAL "\"}",
	    "1|" LEAF "|2026-01-05 00:00:00|2026-01-06 00:00:00");
	ask(&f, known, &a[2]);
	loop_sim_advance(f.api.loop, 1);
	CHECK_STR(a[2].body,
	    "{\"suggestedWindow\":{\"start\":\"2026-01-05T00:00:00Z\","
	    "\"end\":\"2026-01-06T00:00:00Z\"}}\n");
	fini(&f);
}

/* It is not there either, and that is kept as long, apart from answers. */
static void
test_unknown(void)
{
	struct answer a[8] = {0};
	struct fixture f;

	init(&f);
	expect(&f, "{\"" SERIAL "\",\"" SERIAL "\"}",
	    "1|" LEAF "|2026-02-01 00:00:00|2026-03-01 00:00:00\n"
	    "2|" LEAF "|2026-02-01 00:00:00|2026-03-01 00:00:00");
	ask(&f, known, &a[0]);
	ask(&f, unknown, &a[1]);
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT(a[0].status, 200);
	CHECK_INT(a[1].status, 404);
	ask(&f, unknown, &a[2]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[2].status, 404);
	/* More of them than are kept. */
	expect(&f, NULL, "");
	ask(&f, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyI", &a[3]);
	ask(&f, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyM", &a[4]);
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT((int)cache_count(f.api.acme_unknown), 2);
	ask(&f, known, &a[5]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[5].status, 200);
	fini(&f);
}

CHECK_MAIN(CHECK_ROW(test_kept_for_a_second), CHECK_ROW(test_unknown))
