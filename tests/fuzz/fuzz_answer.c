/*
 * What web and mail servers answer to messages for people: whatever it is, what
 * is told of it is one short line without a secret of ours.
 *
 * Input: a byte of how it ended, two of the status, the body; 0xff ends it, and
 * what follows is the error.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/plain.h"
#include "worker/notifiers/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

/* Characters, and the "..." of what was cut. */
#define WORDS_MAX 300
#define SECRET "s/tokn"

static size_t
characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const rc codes[] = {RC_OK, RC_TOO_LARGE, RC_FORBIDDEN,
	    RC_INVALID, RC_TIMEOUT, RC_CRYPTO, RC_UNAUTHENTICATED,
	    RC_UNAVAILABLE};
	struct notifier_call c = {.secrets = {"http://" SECRET, SECRET}};
	struct notifier_answer answer;
	struct answer_end end = {0};
	struct arena *a = arena_new();
	char *body, *error;

	if (size >= 3) {
		c.is_mail = data[0] & 0x80;
		end.code = codes[data[0] % ARRAY_LEN(codes)];
		end.status = data[1] << 8 | data[2];
		end.retry_after_s = end.status * (int64_t)end.status * 9;
		body = arena_strndup(a, (const char *)data + 3, size - 3);
		error = strchr(body, '\xff');
		if (error)
			*error++ = '\0';
		end.body = body;
		end.error = error;
		answer = answer_read(a, &c, &end);
		must(plain_is_line(answer.words) &&
		     enc_is_utf8(answer.words, strlen(answer.words)));
		must(characters(answer.words) <= WORDS_MAX);
		must(!strstr(answer.words, SECRET));
		must(answer.wait_s >= 0 && answer.wait_s <= 86400);
		must(answer.verdict == NOTIFIER_SENT ||
		     answer.verdict == NOTIFIER_LATER ||
		     answer.verdict == NOTIFIER_NEVER);
		must(answer.verdict != NOTIFIER_SENT || end.code == RC_OK ||
		     end.code == RC_TOO_LARGE);
	}
	arena_free(a);
	return 0;
}
