/*
 * tls_probe: handshakes that look at what a TLS server shows.
 *
 * Nothing is judged: chain, version and cipher are told as they are, down to
 * TLS 1.0 and weak keys, and no byte follows the handshake.  A prober runs many
 * at once on one loop; those over its limits wait for their turn.
 *
 * Call from the loop only.
 */
#ifndef COMMON_TLS_TLS_PROBE_H
#define COMMON_TLS_TLS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/http/outbound.h"
#include "common/loop/loop.h"
#include "common/loop/lookup.h"

enum {
	TLS_PROBE_CHAIN_MAX = 16,      /* certificates; those after are cut */
	TLS_PROBE_BYTES_MAX = 65536,   /* of all that a server sends of them */
	TLS_PROBE_PARALLEL_MAX = 4096, /* of one prober */
};

/*        value, its name in logs and metrics */
#define TLS_PROBE_FAULTS(X) \
	X(TLS_PROBE_OK, "ok") \
	X(TLS_PROBE_NO_NAME, "name-not-found") \
	X(TLS_PROBE_REFUSED, "address-refused") /* by our own rules */ \
	X(TLS_PROBE_NO_CONNECTION, "no-connection") \
	X(TLS_PROBE_TIMEOUT, "timeout") \
	X(TLS_PROBE_NO_HANDSHAKE, "no-handshake") \
	X(TLS_PROBE_NO_CERTIFICATE, "no-certificate") \
	X(TLS_PROBE_NO_ROOM, "no-room") /* here: the server is not to blame */

#define TLS_PROBE_ENUM(value, name) value,
enum tls_probe_fault { TLS_PROBE_FAULTS(TLS_PROBE_ENUM) TLS_PROBE_FAULT_COUNT };
#undef TLS_PROBE_ENUM

struct tls_prober; /* defined in tls_probe.c */
struct tls_probe;  /* one probe, waiting or under way */

struct tls_prober_opts { /* copied */
	/* Which addresses may be asked; NULL: any. */
	const struct outbound *outbound;
	size_t parallel; /* at most, 1 to TLS_PROBE_PARALLEL_MAX */
	int per_second;  /* begun at most; 0: no limit */
};

struct tls_probe_target { /* copied */
	const char *host; /* a name or an address */
	int port;         /* 1 to 65535 */
	/* For SNI (RFC 6066, section 3), which never is an address; NULL: none
	 * is sent. */
	const char *server_name;
	/* The one protocol that is offered (RFC 7301), 255 bytes at most;
	 * NULL: none. */
	const char *alpn;
	int64_t timeout_ms; /* from its turn on, for all of it */
};

struct tls_probe_result {
	enum tls_probe_fault fault;
	const char *error;   /* for people; "" after TLS_PROBE_OK */
	const char *address; /* the last one asked, "" when none was */
	/* Below: known after TLS_PROBE_OK, else zero. */
	const char *version; /* "TLS 1.3" */
	const char *cipher;  /* its IANA name, "TLS_AES_256_GCM_SHA384" */
	int64_t response_ms; /* from connecting to the handshake's end */
	/* The server wants a certificate of its clients, and perhaps took none
	 * for an answer: then the handshake went as far as its own part. */
	bool asks_certificate;
	bool takes_alpn; /* the server chose the protocol that was offered */
	size_t nchain;   /* 1 at least, the leaf first */
	struct tls_probe_cert {
		const uint8_t *der;
		size_t len;
	} chain[TLS_PROBE_CHAIN_MAX];
};

/* Called once, never from inside tls_probe_start; what the result points at is
 * valid during the call.  It may start and cancel probes. */
typedef void tls_probe_done_fn(void *arg, const struct tls_probe_result *r);

/* A static string such as "no-handshake". */
const char *tls_probe_fault_name(enum tls_probe_fault fault);

/* RC_INVALID: a limit out of range; RC_CRYPTO.  The caller owns *out. */
rc tls_prober_new(struct loop *l, const struct tls_prober_opts *opts,
    struct tls_prober **out) MUST_CHECK;
/* Forgets what is under way; not from a callback.  NULL is a no-op. */
void tls_prober_free(struct tls_prober *p);
/* Probes under way and waiting, for the metrics. */
size_t tls_prober_running(const struct tls_prober *p);
size_t tls_prober_waiting(const struct tls_prober *p);

/* RC_INVALID: no host, port or time-out, or no name of a protocol.  done is
 * then not called.  After done the probe is gone. */
rc tls_probe_start(struct tls_prober *p, const struct tls_probe_target *target,
    tls_probe_done_fn *done, void *arg, struct tls_probe **out) MUST_CHECK;
/* Forgets the callback and closes; not after done. */
void tls_probe_cancel(struct tls_probe *t);

#endif
