/*
 * tls_rig: a prober on a loop, and what it is let loose on: openssl's
 * s_server, and a listener that does no TLS at all.
 */
#ifndef TESTS_UNIT_COMMON_TLS_TLS_RIG_H
#define TESTS_UNIT_COMMON_TLS_TLS_RIG_H

#include "common/tls/tls_probe.h"

#define LONG_MS 20000

extern struct loop *loop;
extern struct tls_prober *prober;

/* What a probe came to; texts and chain are copies. */
struct seen {
	struct tls_probe *probe;
	int calls;
	enum tls_probe_fault fault;
	char error[256], address[64], version[16], cipher[64];
	int64_t response_ms;
	bool asks_certificate, takes_alpn;
	size_t nchain;
	char leaf[65]; /* its SHA-256 */
};

void start(const struct tls_prober_opts *opts);
/* With 64 at once. */
void start_plain(void);
void stop(void);

/* openssl s_server with a certificate for tls.example, and these arguments,
 * NULL at the end ("CA", "CERT" and "KEY": these files); its port.  Ended by
 * stop. */
int server_start(const char *const *args);
/* SHA-256 of the certificate. */
const char *server_leaf(void);

enum odd { ODD_MUTE, ODD_CLOSE, ODD_HTTP, ODD_RUBBISH, ODD_DRIP };
/* A listener on 127.0.0.1 that treats each connection so; its port. */
int odd_start(enum odd how);
/* Its connections that are open, and the most at a time. */
extern int odd_open, odd_most;

void probe_target(const struct tls_probe_target *target, struct seen *s);
void probe(const char *host, int port, const char *name, int64_t timeout_ms,
    struct seen *s);
/* Runs the loop until that many probes have ended since start. */
void await(int n);
extern int ended;
/* Called at each end; NULL: nothing. */
extern void (*on_end)(struct seen *s);

#endif
