/*
 * fuzz_nonce: nonces of ACME requests.  What is read has one text, and none is
 * taken that the key has not made: the searcher has none.  The first octet
 * chooses: the text as it came, or the rest as the signed bytes of one that
 * the key makes, with each MAC but the right one beside it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/live/nonce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct nonce_key ours = {.id = {1, 2, 3, 4, 5, 6, 7, 8},
    .bytes = {[31] = 1}};
static const struct nonce_key other = {.id = {1, 2, 3, 4, 5, 6, 7, 8},
    .bytes = {[31] = 2}};

static void
must(bool claim)
{
	if (!claim)
		abort();
}

/* A text with any length and characters. */
static void
check_text(const uint8_t *data, size_t size)
{
	uint8_t bytes[NONCE_BYTES];
	char *text = malloc(size + 1), again[NONCE_LEN + 1];
	rc ret;

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	ret = nonce_read(text, bytes);
	must(ret == RC_OK || ret == RC_INVALID);
	if (ret == RC_OK) {
		nonce_put(bytes, again);
		must(strcmp(again, text) == 0);
		must(nonce_expires(bytes) >= 0);
		must(!nonce_is_by(bytes, &ours));
	}
	free(text);
}

/* One of ours that was changed. */
static void
check_made(const uint8_t *data, size_t size)
{
	uint8_t bytes[NONCE_BYTES], changed[NONCE_BYTES];
	char text[NONCE_LEN + 1];
	int64_t expires = 0;
	size_t n = size < NONCE_BYTES ? size : NONCE_BYTES;
	rc ret;

	for (size_t i = 0; i < n && i < NONCE_TIME_BYTES; i++)
		expires = expires << 8 | data[i];
	nonce_make(&ours, expires, text);
	ret = nonce_read(text, bytes);
	must(ret == RC_OK && nonce_expires(bytes) == expires);
	must(nonce_is_by(bytes, &ours) && !nonce_is_by(bytes, &other));
	memcpy(changed, bytes, sizeof(changed));
	for (size_t i = 0; i < n; i++)
		changed[i] ^= data[i];
	must(nonce_is_by(changed, &ours) ==
	     (memcmp(changed, bytes, sizeof(bytes)) == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 1)
		check_made(data + 1, size - 1);
	else
		check_text(data + 1, size - 1);
	return 0;
}
