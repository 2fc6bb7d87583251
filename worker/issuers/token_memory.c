#include "worker/issuers/token_memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/secret.h"

#define KEY_LEN 64
#define TOKENS_MAX 64 /* issuers of one worker */

struct kept {
	char key[KEY_LEN + 1]; /* "": free */
	struct secret *token;
	int64_t until_ms;
};

struct token_memory {
	struct loop *loop;
	struct kept all[TOKENS_MAX];
};

struct token_memory *
token_memory_new(struct loop *l)
{
	struct token_memory *m = mem_zalloc(sizeof(*m));

	m->loop = l;
	return m;
}

static void
clear(struct kept *k)
{
	secret_free(k->token);
	*k = (struct kept){.token = NULL};
}

void
token_memory_free(struct token_memory *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < TOKENS_MAX; i++)
		clear(&m->all[i]);
	free(m);
}

static struct kept *
find(struct token_memory *m, const char *key)
{
	for (size_t i = 0; i < TOKENS_MAX; i++)
		if (strcmp(m->all[i].key, key) == 0)
			return &m->all[i];
	return NULL;
}

static void
free_secret(void *arg)
{
	secret_free(arg);
}

const char *
token_memory_get(struct token_memory *m, struct arena *a, const char *key)
{
	struct kept *k = find(m, key);
	struct secret *copy;

	if (!k || loop_now_ms(m->loop) >= k->until_ms)
		return NULL;
	/* With its NUL: it is kept as a text. */
	copy = secret_new(secret_bytes(k->token), secret_len(k->token));
	arena_defer(a, free_secret, copy);
	return (const char *)secret_bytes(copy);
}

/* That of the key, a free one, or that which ends first. */
static struct kept *
place_for(struct token_memory *m, const char *key)
{
	struct kept *k = find(m, key);

	if (!k)
		k = find(m, "");
	if (k)
		return k;
	k = &m->all[0];
	for (size_t i = 1; i < TOKENS_MAX; i++)
		if (m->all[i].until_ms < k->until_ms)
			k = &m->all[i];
	return k;
}

void
token_memory_keep(struct token_memory *m, const char *key, const char *token,
    int64_t seconds)
{
	struct kept *k = place_for(m, key);

	if (seconds < 1 || strlen(key) != KEY_LEN)
		return;
	clear(k);
	memcpy(k->key, key, KEY_LEN + 1);
	k->token = secret_new(token, strlen(token) + 1);
	k->until_ms = loop_now_ms(m->loop) + seconds * 1000;
}

void
token_memory_forget(struct token_memory *m, const char *key)
{
	struct kept *k = find(m, key);

	if (k)
		clear(k);
}
