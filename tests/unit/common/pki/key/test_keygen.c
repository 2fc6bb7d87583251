#include "common/pki/key/keygen.h"

#include <sched.h>

#include "common/pki/key/key.h"
#include "tests/unit/check.h"

static void
test_a_key_comes(void)
{
	struct keygen *g = NULL;
	EVP_PKEY *key = NULL;
	int size;
	rc ret;

	CHECK_INT(keygen_start(KEYGEN_BITS_LEAST, &g), RC_OK);
	while ((ret = keygen_take(g, &key)) == RC_BUSY)
		sched_yield();
	CHECK_INT(ret, RC_OK);
	CHECK_STR(key_algorithm(key, &size), "RSA");
	CHECK_INT(size, KEYGEN_BITS_LEAST);
	keygen_free(g);
	EVP_PKEY_free(key);
}

/* Whoever asked for it went away; nothing is left behind. */
static void
test_given_up(void)
{
	for (int i = 0; i < 5; i++) {
		struct keygen *g = NULL;

		CHECK_INT(keygen_start(KEYGEN_BITS_MOST, &g), RC_OK);
		keygen_free(g);
	}
	keygen_free(NULL);
}

static void
test_refused(void)
{
	struct keygen *g = NULL;

	CHECK_INT(keygen_start(KEYGEN_BITS_LEAST - 1, &g), RC_INVALID);
	CHECK_INT(keygen_start(KEYGEN_BITS_MOST + 1, &g), RC_INVALID);
	CHECK(g == NULL);
}

CHECK_MAIN(CHECK_ROW(test_a_key_comes), CHECK_ROW(test_given_up),
    CHECK_ROW(test_refused))
