#include "common/pki/key/keygen.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct keygen {
	int bits;
	pthread_t thread;
	atomic_bool is_over; /* key is the loop's */
	atomic_bool is_unwanted;
	EVP_PKEY *key; /* NULL: none was made */
};

/* OpenSSL asks between candidates; 0 ends the search. */
static int
may_go_on(EVP_PKEY_CTX *ctx)
{
	struct keygen *g = EVP_PKEY_CTX_get_app_data(ctx);

	return !atomic_load(&g->is_unwanted);
}

static void *
look(void *arg)
{
	struct keygen *g = arg;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

	if (ctx && EVP_PKEY_keygen_init(ctx) > 0 &&
	    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, g->bits) > 0) {
		EVP_PKEY_CTX_set_app_data(ctx, g);
		EVP_PKEY_CTX_set_cb(ctx, may_go_on);
		if (EVP_PKEY_generate(ctx, &g->key) <= 0)
			g->key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	atomic_store(&g->is_over, true);
	return NULL;
}

rc
keygen_start(int bits, struct keygen **out)
{
	struct keygen *g;
	sigset_t all, before;
	int failed;

	if (bits < KEYGEN_BITS_LEAST || bits > KEYGEN_BITS_MOST)
		return RC_INVALID;
	g = mem_zalloc(sizeof(*g));
	g->bits = bits;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&g->thread, NULL, look, g);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		free(g);
		return RC_BUSY;
	}

	*out = g;
	return RC_OK;
}

rc
keygen_take(struct keygen *g, EVP_PKEY **out)
{
	if (!atomic_load(&g->is_over))
		return RC_BUSY;
	if (!g->key)
		return RC_CRYPTO;
	*out = g->key;
	g->key = NULL;
	return RC_OK;
}

void
keygen_free(struct keygen *g)
{
	if (!g)
		return;
	atomic_store(&g->is_unwanted, true);
	pthread_join(g->thread, NULL);
	EVP_PKEY_free(g->key);
	free(g);
}
