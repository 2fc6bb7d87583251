/*
 * Keys of provisioners, encrypted by a password as step-ca's tools do: what is
 * read of them, opened, and refused.  The vectors were made by another
 * implementation (pyca/cryptography), of the password "correct horse".
 */
#include "common/jose/jwe.h"

#include <openssl/core_names.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/check.h"

static const char password[] = "correct horse";
/* The first octets of x, which all of them have. */
static const uint8_t x_start[] = {0x94, 0x5b, 0xaf, 0xbf, 0xe4, 0x9b, 0xbf,
    0xfe};

static const char a256[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMjU2R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogIkJEU3dtbmlqQ19oTDQyQy1M"
    "ZzFQRXcifQ.QqAKgbfvlNLdGrc8D4BfwJWHv-bmhwuqfChB1e9X_Qk1rRj2SXSh_g.RHtR"
    "Tm_DvPlDODLn.D4VLroTcJGllY0n5j_6GDLwf0hXJyO6gKMI-jtAnT3z_jnEyqQacrsifI"
    "ifw_GzUrcginWRKuH4lIsmEzAi_YvaFE9mKFUY_NPB86YDLQrqRyNQaRKNEa1cJwFHM1RF"
    "qozv5akX4sW4joHZBgPSieEj4SAgUCwPRp3gvmL84pFiX5N-0DTr5UqSrhqiNk64OpdfrK"
    "wHZKmEFaqMtR6IBIqAQ7_6VWW2_RpbNb68crQbad5qJ-3_QInlyhiwC9w.lbkaMTKQafGd"
    "1DLdi-f-LQ";
static const char a128[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMTI4R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogIlAweUt1MlkwenNGMWNDVmpo"
    "UmNsT1EifQ.SfGxgtq2F4di43g92rW_SNVo1-mBZuhd.BVCyU0sqA0_RDioW.TA4H2AjxU"
    "zHJjBPhL1VcqfZWLg0eMoCj3Av3_FxsP_QbSYnDQtqJxuC_IFQS-nKcd0vyigoGKPnARny"
    "cvrvC3N-Zv6bXmZSDMbgoTxrhVf0ilOIWWuZBxJ9CpKZpGZG0S0HXQeMFe1FUczo24mmhK"
    "1vmISmAdghhTbpl7JrHykeJ5t5Nf0RH2j3P5ioXlHCg97nJIXN4Mubu2ztp1ALWZh8sciQ"
    "O_e-78ZfM9hNG2va2-fYNKG0WDynNSk9PJw.BVDcM4bMNGlOW7Sj4H6ydg";
static const char no_kid[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMjU2R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogImd3S2ZHNnJMREZiZHBLR1RW"
    "TjRKTmcifQ.J_Z6oUYlUVUyU2IBZNIGmTUXostROuz8bsr--2KYjTXTh_08FcF0yw.9T4M"
    "vWz0ONJo4E2C.9pfd-NIJVQD89lmzOHtKPPg1AAaUe5bwf-OuW1JVrLqBPOOdgp_qLNXfk"
    "rCKnBIxTYgkyvpB52J8d5c5sYlew1IUL6Iyzu3DAn6sa7ZrwLckdXLstkGOdX0rt6WqReR"
    "z7tqTk7tKq3MrJsomVigwUsCavLXgwFPpPXbU1Twg-AczTOLQT635YD0YoUdgpQwDYnGxL"
    "dVmooVRWJMXDxw2UGc3ppLmObn-a-UeIWNRoys.icwfekn0a8zIVkW098knuw";
static const char no_pair[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMjU2R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogIkVjSWxWcEkyS1ZnWWZMU2xS"
    "aFZmQUEifQ.KAglJSMOMq6fy2ZwtwXJDFpKLYYxRLrRvrLfqEAZFu1lWul78wvkGA.wn1E"
    "_J374j6Tbe-o.rQsHz5G7ctTtVydX2ltIsPVhS9eHAVzD76piiylHwtcBAkUApEEx1LWeT"
    "oi0DtsWqPtCH6iB_lvUK_1St4IRvDn0E4-kdvjU5EDKyR-251CC5jCXrZ_Sj9VeWXbOAKT"
    "KLzR7XA3BL0Ieq0GSrELEh2YUPr4hzhMLK-HBmANlUhixw2SLPupLgo4Q2u8botRkix3jZ"
    "mlkJb5IMd350CcMV-XPuLsNqo56km2XmC15qVk_5fjY0edj-dSrLTl4Qw.v6GS3jHuMODn"
    "LCyZvPyAag";
static const char public_only[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMjU2R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogIjJ3MkNIUng1NmRLTkJGWFFo"
    "U0xtancifQ.GVyhdluoAYPfTJVR0Z83jFKwnsrkfHLcrb4nyw3inolLK6PiDI_IsQ.YORk"
    "NmOZDf-7I2DC.3SzK0g4CQ0Z6BKUm4HTS-wpp1D72Zi50y1zgkBLNxIlvkLAl-fAWv1dc4"
    "eQY2uA04B5hipdL1xaKCPFV8qsmzWgZNwKSbsoFLXzRbTCpz-eHF8npe5pO3Cz-_lj8_LD"
    "6lc0jcIt1MntCPfAU3BVO95gWh3s93sAPKQ5Hrei7huQLxIwVp4dYqHIs7f4.IEmeRjHM6"
    "q7uSu9uEaNqSQ";
static const char p384[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMjU2R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogInJlWk1uNFRHWVpOdzBkcFll"
    "QzFkMlEifQ.9L8i9XpiwAfPTf-PvKl37ylAv5n2BS7-SydwI5Wu7WV5XfKIjr-Kng.Iu63"
    "X3O0t6cOpiCy.vtmd4GQEZekfUzeKKxFqnHROiF3s3HS6gamPN6hsUFtEaQLAFjRA5twXv"
    "JhL5Q_zJT05ezl7ThzDZ1Kuvfytc9ucX4MCRdyf0wKZxLoDduemedgfGnbMahAGejGrAxW"
    "JDIMsIDIuwkxfBQXqdWg8ATTnnIGULDVQm_UqRLPphaAbsSp8s5pONWuNKD3rJDqd4X_Xj"
    "2e2fboBxu9rmk6r80me68gfiBBeyIRQBHQaLPj7hNBrNgPKMvLHC1lB-w.89zoGQubc-yL"
    "bZPn7j1s5Q";
static const char short_d[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMjU2R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogInZGRWRGc0FzcVZyX3BqeUdi"
    "aVdjMVEifQ.1iZBB8mJbw2RQA6qpQg9RimBMNX4963I9nWSo15vrDduFDeKw2OKDQ.G8aO"
    "yPVEkAsLllgo.EHvYb_6jh3nCa0V2K6RCl3aK50RZMESzMaS4-iuHi1qwYnxLoiu4HHsxY"
    "slL2TT43dm8_I1Rv8Aqt8eeF6TFNc94_IsGOmzUxXd0hpJ1snCwAhDo1CAL10Tu_bgPnAV"
    "VkV6alFHtQsrxdA0LjTuwZP0vqG2mxi_Hak-HxfaG5fP4Msuzy2yvJ8fvX-VCcBH-X1h8-"
    "nzjh3JYNc9A7AmxOQW11KhxCYz7Ybsq7K-Kjc8s8f7L3L3wKHjDp8we.FQlta20MCTiRA0"
    "79ZCeZaA";
static const char no_json[] =
    "eyJhbGciOiAiUEJFUzItSFMyNTYrQTEyOEtXIiwgImVuYyI6ICJBMjU2R0NNIiwgImN0eS"
    "I6ICJqd2sranNvbiIsICJwMmMiOiAxMDAwLCAicDJzIjogIl9WUGQ5RVRLdFdIMENDcmpp"
    "Q2ktUFEifQ.YfJqvlahrmwiFO4EtqNvd4dKEkIt_8UMT4Zifsoa9p-1b8FD_xUvIQ.7lwc"
    "In-IMVYwCpm7.cbJDY-u9J7kKr4Imgzc.B1aHJI80osNHUBCTakCf1w";

static rc
open_it(struct arena *a, const char *text, const char *with, EVP_PKEY **key,
    const char **kid, const char **why)
{
	const struct jwe *e;
	uint8_t derived[16];

	CHECK_INT(jwe_read(a, text, &e, why), RC_OK);
	CHECK_INT(e->rounds, 1000);
	CHECK(PKCS5_PBKDF2_HMAC(with, (int)strlen(with), e->salt.p,
		  (int)e->salt.len, (int)e->rounds, EVP_sha256(),
		  sizeof(derived), derived) == 1);
	return jwe_open_key(a, e, derived, key, kid, why);
}

static void
check_opens(const char *text, const char *kid)
{
	struct arena *a = arena_new();
	EVP_PKEY *key = NULL;
	const char *found = "", *why = "";
	uint8_t x[32];
	BIGNUM *n = NULL;

	CHECK_INT(open_it(a, text, password, &key, &found, &why), RC_OK);
	CHECK_STR(found, kid);
	CHECK(EVP_PKEY_is_a(key, "EC"));
	CHECK(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &n) == 1);
	CHECK_INT(BN_bn2binpad(n, x, sizeof(x)), sizeof(x));
	CHECK(memcmp(x, x_start, sizeof(x_start)) == 0);
	BN_free(n);
	EVP_PKEY_free(key);
	arena_free(a);
}

/* The same as JSON, its parts one after another. */
static const char *
as_json(struct arena *a, const char *compact)
{
	static const char *const names[] = {"protected", "encrypted_key", "iv",
	    "ciphertext", "tag"};
	const char *json = "";

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t len = strcspn(compact, ".");

		json = arena_printf(a, "%s%s\"%s\":\"%.*s\"", json,
		    i > 0 ? "," : "", names[i], (int)len, compact);
		compact += len + 1;
	}
	return arena_printf(a, "{%s}", json);
}

static void
test_opens(void)
{
	struct arena *a = arena_new();

	check_opens(a256, "kid-1");
	check_opens(a128, "kid-1");
	check_opens(no_kid, "");
	check_opens(as_json(a, a256), "kid-1");
	check_opens(arena_printf(a, " \n%s\r\n", a128), "kid-1");
	arena_free(a);
}

static void
check_forbidden(const char *text, const char *with)
{
	struct arena *a = arena_new();
	EVP_PKEY *key = NULL;
	const char *kid = "", *why = "";

	CHECK_INT(open_it(a, text, with, &key, &kid, &why), RC_FORBIDDEN);
	CHECK_STR(why, "it is encrypted by another password");
	CHECK(key == NULL);
	arena_free(a);
}

/* Another octet in the part of this number, at the place "at" of it. */
static const char *
changed(struct arena *a, const char *text, int part, size_t at)
{
	char *copy = arena_strdup(a, text), *p = copy;

	while (part-- > 0)
		p = strchr(p, '.') + 1;
	p[at] = p[at] == 'A' ? 'B' : 'A';
	return copy;
}

static void
test_another_password_or_octet(void)
{
	struct arena *a = arena_new();

	check_forbidden(a256, "correct horsf");
	check_forbidden(a256, "");
	for (int part = 1; part <= 4; part++) {
		check_forbidden(changed(a, a256, part, 3), password);
		check_forbidden(changed(a, a128, part, 0), password);
	}
	arena_free(a);
}

static void
check_no_key(const char *text)
{
	struct arena *a = arena_new();
	EVP_PKEY *key = NULL;
	const char *kid = "", *why = "";

	CHECK_INT(open_it(a, text, password, &key, &kid, &why), RC_INVALID);
	CHECK_STR(why, "what is encrypted in it is no private JWK of P-256");
	CHECK(key == NULL);
	arena_free(a);
}

static void
test_no_such_key(void)
{
	check_no_key(no_pair);
	check_no_key(public_only);
	check_no_key(p384);
	check_no_key(short_d);
	check_no_key(no_json);
}

static void
check_refused(const char *text, const char *why)
{
	struct arena *a = arena_new();
	const struct jwe *e = NULL;
	const char *said = "";

	CHECK_INT(jwe_read(a, text, &e, &said), RC_INVALID);
	CHECK_STR(said, why);
	CHECK(e == NULL);
	arena_free(a);
}

/* With this header (JSON, to be encoded) in place of its own. */
static void
check_header(const char *json, const char *why)
{
	struct arena *a = arena_new();
	unsigned char coded[1024];
	char *c = (char *)coded;

	CHECK(EVP_EncodeBlock(coded, (const unsigned char *)json,
		  (int)strlen(json)) > 0);
	for (; *c; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	while (c > (char *)coded && c[-1] == '=')
		*--c = '\0';
	check_refused(arena_printf(a, "%s%s", (char *)coded, strchr(a256, '.')),
	    why);
	arena_free(a);
}

static void
test_is_none(void)
{
	static const char none[] = "it is no JWE, compact or as JSON";
	struct arena *a = arena_new();
	char *longer = arena_alloc(a, 20000);

	check_refused("", none);
	check_refused("{", none);
	check_refused("{\"protected\":\"e30\"}", none);
	check_refused("a.b.c.d", none);
	check_refused(arena_printf(a, "%s.AAAA", a256), none);
	check_refused("e30.****.AAAA.AAAA.AAAA", none);
	memset(longer, 'A', 19999);
	check_refused(longer, none);
	check_refused("AAAA.AAAA.AAAA.AAAA.AAAA", "its header is no JSON");
	check_refused("e30.AAAA.AAAA.AAAA.AAAA",
	    "it is not encrypted by PBES2-HS256+A128KW and A128GCM or A256GCM");
	arena_free(a);
}

static void
test_headers(void)
{
	static const char kind[] =
	    "it is not encrypted by PBES2-HS256+A128KW and A128GCM or A256GCM";
	static const char salt[] = "its salt or its number of rounds is none";
	static const char lengths[] =
	    "its parts have lengths that no key of its kind has";

	check_header("{\"alg\":\"PBES2-HS512+A256KW\",\"enc\":\"A256GCM\","
		     "\"p2s\":\"AAAAAAAAAAAAAAAA\",\"p2c\":1000}",
	    kind);
	check_header("{\"alg\":\"PBES2-HS256+A128KW\","
		     "\"enc\":\"A128CBC-HS256\","
		     "\"p2s\":\"AAAAAAAAAAAAAAAA\",\"p2c\":1000}",
	    kind);
	/* A salt of 7 octets; rounds that are none, or take for ever. */
	check_header("{\"alg\":\"PBES2-HS256+A128KW\",\"enc\":\"A256GCM\","
		     "\"p2s\":\"AAAAAAAAAA\",\"p2c\":1000}",
	    salt);
	check_header("{\"alg\":\"PBES2-HS256+A128KW\",\"enc\":\"A256GCM\","
		     "\"p2s\":\"AAAAAAAAAAAAAAAA\",\"p2c\":999}",
	    salt);
	check_header("{\"alg\":\"PBES2-HS256+A128KW\",\"enc\":\"A256GCM\","
		     "\"p2s\":\"AAAAAAAAAAAAAAAA\",\"p2c\":2000001}",
	    salt);
	check_header("{\"alg\":\"PBES2-HS256+A128KW\",\"enc\":\"A256GCM\","
		     "\"p2s\":\"AAAAAAAAAAAAAAAA\"}",
	    salt);
	/* The content's key is of 32 octets and not of 16. */
	check_header("{\"alg\":\"PBES2-HS256+A128KW\",\"enc\":\"A128GCM\","
		     "\"p2s\":\"AAAAAAAAAAAAAAAA\",\"p2c\":1000}",
	    lengths);
}

CHECK_MAIN(CHECK_ROW(test_opens), CHECK_ROW(test_another_password_or_octet),
    CHECK_ROW(test_no_such_key), CHECK_ROW(test_is_none),
    CHECK_ROW(test_headers))
