/*
 * Answers to GetCACaps from whoever sends them: lines that can be shown, few
 * and short, and a word is found wherever it is said.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/pki/cert/scepcaps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct scepcaps c;

	scepcaps_read(a, (struct span){data, size}, &c);
	must(c.n <= SCEPCAPS_MAX);
	for (size_t i = 0; i < c.n; i++) {
		const char *word = c.words[i];

		must(*word != '\0' && strlen(word) <= SCEPCAPS_WORD_MAX);
		must(plain_is_line(word) && enc_is_utf8(word, strlen(word)));
		must(scepcaps_has(&c, word));
	}
	if (scepcaps_has(&c, "SCEPStandard"))
		must(scepcaps_has(&c, "AES") && scepcaps_has(&c, "SHA-256"));
	arena_free(a);
	return 0;
}
