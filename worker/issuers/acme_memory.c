#include "worker/issuers/acme_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "worker/issuers/acme_http01.h"

#define MEMORIES_MAX 64
#define NONCES_MAX 8
#define TOLD_MAX 256
#define DIRECTORY_MS (3600 * (int64_t)1000)
/* CAs forget nonces; an old one costs a request more than none. */
#define NONCE_MS 60000
/* A CA looks from several places, and a look that it was asked for twice may
 * come when the first was enough. */
#define LINGER_MS 10000

struct dated {
	char *text; /* NULL: none */
	int64_t at_ms;
};

struct acme_memory {
	TAILQ_ENTRY(acme_memory) entry;
	struct acme_cas *owner;
	char *directory_url, *thumbprint;
	char *directory; /* NULL: not known */
	int64_t directory_ms;
	char *account; /* NULL likewise */
	struct dated nonces[NONCES_MAX];
	size_t nnonces;
	struct dated told[TOLD_MAX]; /* URLs; the oldest is next */
	size_t next_told;
};

struct acme_cas {
	struct loop *loop;
	struct acme_http01 *http01;
	TAILQ_HEAD(memories, acme_memory) all; /* the last used first */
	size_t n;
};

static void
forget(struct acme_memory *m)
{
	TAILQ_REMOVE(&m->owner->all, m, entry);
	m->owner->n--;
	for (size_t i = 0; i < m->nnonces; i++)
		free(m->nonces[i].text);
	for (size_t i = 0; i < TOLD_MAX; i++)
		free(m->told[i].text);
	free(m->directory_url);
	free(m->thumbprint);
	free(m->directory);
	free(m->account);
	free(m);
}

struct acme_cas *
acme_cas_new(struct loop *l)
{
	struct acme_cas *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	TAILQ_INIT(&s->all);
	s->http01 = acme_http01_new(l, LINGER_MS);
	return s;
}

void
acme_cas_free(struct acme_cas *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->all))
		forget(TAILQ_FIRST(&s->all));
	acme_http01_free(s->http01);
	free(s);
}

struct acme_http01 *
acme_cas_http01(struct acme_cas *s)
{
	return s->http01;
}

struct acme_memory *
acme_memory_of(struct acme_cas *s, const char *directory_url,
    const char *thumbprint)
{
	struct acme_memory *m;

	TAILQ_FOREACH (m, &s->all, entry) {
		if (strcmp(m->directory_url, directory_url) == 0 &&
		    strcmp(m->thumbprint, thumbprint) == 0)
			break;
	}
	if (m) {
		TAILQ_REMOVE(&s->all, m, entry);
		TAILQ_INSERT_HEAD(&s->all, m, entry);
		return m;
	}
	if (s->n == MEMORIES_MAX)
		forget(TAILQ_LAST(&s->all, memories));
	m = mem_zalloc(sizeof(*m));
	m->owner = s;
	m->directory_url = mem_strdup(directory_url);
	m->thumbprint = mem_strdup(thumbprint);
	TAILQ_INSERT_HEAD(&s->all, m, entry);
	s->n++;
	return m;
}

const char *
acme_memory_directory(const struct acme_memory *m)
{
	if (m->directory &&
	    loop_now_ms(m->owner->loop) - m->directory_ms < DIRECTORY_MS)
		return m->directory;
	return NULL;
}

void
acme_memory_keep_directory(struct acme_memory *m, const char *text)
{
	free(m->directory);
	m->directory = text ? mem_strdup(text) : NULL;
	m->directory_ms = loop_now_ms(m->owner->loop);
}

const char *
acme_memory_account(const struct acme_memory *m)
{
	return m->account;
}

void
acme_memory_keep_account(struct acme_memory *m, const char *url)
{
	free(m->account);
	m->account = url ? mem_strdup(url) : NULL;
}

void
acme_memory_keep_nonce(struct acme_memory *m, const char *nonce)
{
	if (m->nnonces == NONCES_MAX) {
		free(m->nonces[0].text);
		memmove(m->nonces, m->nonces + 1,
		    --m->nnonces * sizeof(m->nonces[0]));
	}
	m->nonces[m->nnonces++] = (struct dated){
	    .text = mem_strdup(nonce),
	    .at_ms = loop_now_ms(m->owner->loop),
	};
}

void
acme_memory_keep_told(struct acme_memory *m, const char *url)
{
	struct dated *t = &m->told[m->next_told];

	m->next_told = (m->next_told + 1) % TOLD_MAX;
	free(t->text);
	t->text = mem_strdup(url);
	t->at_ms = loop_now_ms(m->owner->loop);
}

int64_t
acme_memory_told_ms(const struct acme_memory *m, const char *url)
{
	int64_t last_ms = INT64_MIN;

	for (size_t i = 0; i < TOLD_MAX; i++) {
		const struct dated *t = &m->told[i];

		if (t->text && t->at_ms > last_ms && strcmp(t->text, url) == 0)
			last_ms = t->at_ms;
	}
	return last_ms == INT64_MIN ? INT64_MAX
				    : loop_now_ms(m->owner->loop) - last_ms;
}

const char *
acme_memory_take_nonce(struct acme_memory *m, struct arena *a)
{
	const char *text = NULL;

	while (m->nnonces > 0 && !text) {
		struct dated *n = &m->nonces[--m->nnonces];

		if (loop_now_ms(m->owner->loop) - n->at_ms < NONCE_MS)
			text = arena_strdup(a, n->text);
		free(n->text);
	}
	return text;
}
