/*
 * dns: questions to name servers, asked by c-ares on the loop.
 *
 * c-ares judges the answers: id, question and who sent it, and asks by TCP
 * what was cut off.  Each question has a channel of its own, and with it a
 * port that nobody can foresee, and resolv.conf as it is then.
 *
 * Call from the loop only.
 */
#ifndef WORKER_ACME_DNS_H
#define WORKER_ACME_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"
#include "common/loop/lookup.h"

enum dns_type { DNS_ADDRESS, DNS_TXT, DNS_CAA };

/* What came of a question. */
enum dns_outcome {
	DNS_FOUND,
	DNS_NO_NAME,   /* NXDOMAIN */
	DNS_NO_RECORD, /* the name is there, and has none of that type */
	DNS_FAILED,    /* nobody knows */
};

enum { DNS_RECORDS_MAX = 64 }; /* of an answer; those after are not read */

struct dns_caa { /* RFC 8659, section 4.1 */
	bool is_critical;
	const char *tag, *value;
};

struct dns_reply { /* in the arena of who asked */
	enum dns_outcome outcome;
	const char *why; /* of DNS_FAILED, for people */
	bool is_silent;  /* of DNS_FAILED: no name server said anything */
	size_t n;        /* of the one that was asked for */
	const char (*addrs)[LOOKUP_ADDR_SIZE]; /* IPv6 first */
	const char *const *texts; /* a record's strings joined (RFC 7208) */
	const struct dns_caa *caas;
};

struct dns_ask; /* one question */

struct dns_question {
	enum dns_type type;
	const char *name;
	/* "192.0.2.1:53" or "[2001:db8::1]:53"; NULL: those of resolv.conf,
	 * and for addresses /etc/hosts before them. */
	const char *server;
	int64_t timeout_ms;
};

/* Called once, never from inside dns_ask_start. */
typedef void dns_done_fn(void *arg, const struct dns_reply *r);

/* Whether text can be the server of a question. */
bool dns_is_server(const char *text);
/* The caller frees what is returned, before the arena. */
struct dns_ask *dns_ask_start(struct loop *l, struct arena *a,
    const struct dns_question *q, dns_done_fn *done, void *arg);
/* Forgets the callback; also needed after it was called, and allowed from
 * inside.  NULL: no-op. */
void dns_ask_free(struct dns_ask *ask);

#endif
