/*
 * acme_flow: what a client of an ACME server does (RFC 8555), as fast as the
 * server lets it: the driver of the benchmarks.
 *
 * One acme_client is one thread's: a keep-alive connection and its nonces.  All
 * clients of a run share an account, whose key signs ES256.
 */
#ifndef TESTS_BENCH_ACME_FLOW_H
#define TESTS_BENCH_ACME_FLOW_H

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACME_URL_MAX 512
#define ACME_NONCE_MAX 256

/* Text that grows; freed by acme_bytes_free. */
struct acme_bytes {
	char *p;
	size_t len;
};
void acme_bytes_free(struct acme_bytes *b);

struct acme_server {
	const char *directory; /* its URL */
	const char *ca; /* PEM file that its certificate is verified with */
	char new_nonce[ACME_URL_MAX], new_account[ACME_URL_MAX];
	char new_order[ACME_URL_MAX];
};

struct acme_account {
	EVP_PKEY *key; /* P-256 */
	char kid[ACME_URL_MAX];
	char x[64], y[64];   /* its coordinates, base64url */
	char thumbprint[64]; /* RFC 7638 */
};

struct acme_client {
	const struct acme_server *server;
	const struct acme_account *account;
	CURL *curl;
	struct acme_bytes body; /* of the last answer */
	long status;
	char nonce[ACME_NONCE_MAX], location[ACME_URL_MAX];
	char type[128], retry_after[32]; /* of the last answer; "": none */
	int64_t requests, bad_nonces;
	char why[1024]; /* the last failure */
};

/* All of these: false on failure, with c->why. */
bool acme_client_init(struct acme_client *c, const struct acme_server *s,
    const struct acme_account *a);
void acme_client_fini(struct acme_client *c);
/* Reads the directory into s. */
bool acme_discover(struct acme_client *c, struct acme_server *s);
/* Registers the account's key, which it makes unless there is one. */
bool acme_register(struct acme_client *c, struct acme_account *a);
void acme_account_fini(struct acme_account *a);
/* From new-order to the certificate's download, for one identifier with a key
 * of its own; challenges are answered where the server wants them. */
bool acme_issue(struct acme_client *c, const char *type, const char *value);

/* Whatever the server answers: a request without a body, HEAD or GET; and
 * new-order for one DNS name. */
bool acme_ask(struct acme_client *c, bool is_head, const char *url);
bool acme_order(struct acme_client *c, const char *name);

#endif
