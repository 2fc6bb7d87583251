/*
 * validation: one try to validate an ACME challenge (RFC 8555, section 8), as
 * the steps of its task's op see it.
 *
 * kinds/acme_validate.c waits for a turn, runs the method's first step and
 * stores what came of it.  A method ends with op_goto(op, v->judged), after
 * validation_fail where it failed; nothing it does leaves anything behind.
 */
#ifndef WORKER_ACME_VALIDATION_H
#define WORKER_ACME_VALIDATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/attr.h"
#include "common/cfg/cfg.h"
#include "common/http/http_out.h"
#include "common/loop/loop.h"
#include "common/op/op.h"
#include "common/tls/tls_probe.h"
#include "worker/acme/dns.h"

enum {
	VALIDATION_MS = 30000,        /* of one try, from its turn on */
	VALIDATION_PROBLEMS_MAX = 16, /* subproblems that are told */
	VALIDATION_DIGEST_LEN = 32,   /* SHA-256 */
};

/*            value, type (RFC 8555, section 6.7), status of HTTP */
#define VALIDATION_FAULTS(X) \
	X(VALIDATION_CAA, "caa", 403) \
	X(VALIDATION_CONNECTION, "connection", 400) \
	X(VALIDATION_DNS, "dns", 400) \
	X(VALIDATION_RESPONSE, "incorrectResponse", 403) \
	X(VALIDATION_TLS, "tls", 400)

#define VALIDATION_ENUM(value, name, status) value,
enum validation_fault { VALIDATION_FAULTS(VALIDATION_ENUM) };
#undef VALIDATION_ENUM

enum validation_type { HTTP_01, DNS_01, TLS_ALPN_01, VALIDATION_TYPES };

struct validation;
TAILQ_HEAD(validation_list, validation);

/* Those of a type that may run at once in this process, and who waits. */
struct validation_turns {
	size_t limit, running;
	struct validation_list waiting;
};

struct acme_validator { /* outlives every op */
	struct loop *loop;
	struct outbound outbound;
	struct http_out *http;
	struct tls_prober *prober;
	/* For TXT and CAA; and for addresses, NULL: the system's. */
	const char *resolver, *address_resolver;
	int http_port, tls_port; /* what ports 80 and 443 are */
	bool checks_caa;
	const char *const *caa_identities; /* NULL at the end */
	struct validation_turns turns[VALIDATION_TYPES];
};

struct validation_problem {
	enum validation_fault fault;
	const char *detail;
};

struct validation_answer { /* of HTTP */
	rc code;           /* of http_done_fn */
	int status;
	const char *body;
	size_t len;
	const char *location; /* NULL: none */
	const char *why;
};

struct validation { /* the op's state; texts in its arena */
	struct op *op;
	struct acme_validator *by;
	op_step *judged;
	/* What is to be shown, and by whom. */
	enum validation_type type;
	const char *method; /* "http-01" */
	bool is_address, is_wildcard;
	const char *name; /* of the host, without "*.", or its address */
	const char *token, *key_authorization;
	uint8_t digest[VALIDATION_DIGEST_LEN]; /* of the key authorization */
	const char *account_id, *profile_id;
	/* Its turn. */
	TAILQ_ENTRY(validation) entry;
	bool is_waiting, has_turn;
	int64_t began_ms, ends_ms, took_ms; /* of the try, from its turn on */
	/* What is under way, and what came of it. */
	struct dns_ask *ask;
	const struct dns_reply *reply;
	const char *resolver_why; /* its last question was not answered at
				   * all; "": it was; NULL: none was asked */
	struct http_call *call;
	struct tls_probe *probe;
	/* The host that is asked now. */
	const char *host;
	const char (*addrs)[LOOKUP_ADDR_SIZE];
	size_t naddrs, at;
	op_step *reached;
	/* of the method */
	const char *url;
	int url_port;
	unsigned redirects;
	struct validation_answer answer;
	enum tls_probe_fault probed;
	const char *caa_name;
	/* What came of it: no problem, it is valid; moot: it was not tried. */
	bool is_moot;
	bool has_failed;
	struct validation_problem problem;
	struct validation_problem subproblems[VALIDATION_PROBLEMS_MAX];
	size_t nsubproblems;
};

/* RC_INVALID, told in the log: a setting that can't be obeyed; RC_INTERNAL,
 * RC_CRYPTO. */
rc acme_validator_init(struct acme_validator *a, struct loop *l,
    const struct cfg *cfg) MUST_CHECK;
/* Of one that is all zeros a no-op.  Every op has ended. */
void acme_validator_fini(struct acme_validator *a);

struct validation *validation_of(struct op *op);
/* Key authorization and digest from token and thumbprint (section 8.1), and
 * what cleans up after it.  Once, before the others. */
void validation_begin(struct validation *v, const char *thumbprint);

/* What failed, in words for the client: the texts of others are cleaned.  The
 * first one counts. */
void validation_fail(struct validation *v, enum validation_fault fault,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What one of several addresses came to. */
void validation_note(struct validation *v, enum validation_fault fault,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *validation_fault_type(enum validation_fault fault);
int validation_fault_status(enum validation_fault fault);

/* Milliseconds that are left to this try, 1 at least, of which those addresses
 * of the host that come later have their share. */
int64_t validation_share_ms(const struct validation *v);
/* Waits for what is under way, or until the try's time is up: then it is given
 * up, and next finds none. */
enum op_next validation_wait(struct validation *v, op_step *next);
/* Asks for a name's records; next finds the reply, or NULL: no time left. */
enum op_next validation_ask(struct validation *v, enum dns_type type,
    const char *name, op_step *next);
/* Finds v->host's addresses, then next, with one at least; else judged. */
enum op_next validation_reach(struct validation *v, const char *host,
    op_step *next);
/* "192.0.2.1:80" or "[2001:db8::1]:80": the address at v->at and that port. */
const char *validation_address(const struct validation *v, int port);

/* First steps of the methods, and of what is looked at after them. */
enum op_next http01_begin(struct op *op);
enum op_next dns01_begin(struct op *op);
enum op_next tlsalpn01_begin(struct op *op);
enum op_next caa_begin(struct op *op);

#endif
