/*
 * tls-alpn-01 (RFC 8737): a handshake in which nothing but acme-tls/1 is
 * offered, with each of a name's addresses until one answers.
 */
#include "worker/acme/tlsalpn01.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "worker/acme/alpn_cert.h"
#include "worker/acme/validation.h"

#define PROTOCOL "acme-tls/1"
#define NIBBLES 32 /* of an IPv6 address */

static op_step tlsalpn01_try;
static op_step tlsalpn01_answered;

const char *
tlsalpn01_address_name(struct arena *a, const char *address)
{
	char text[NIBBLES * 2 + 1];
	uint8_t v4[4], v6[16];

	if (inet_pton(AF_INET, address, v4) == 1)
		return arena_printf(a, "%u.%u.%u.%u.in-addr.arpa", v4[3], v4[2],
		    v4[1], v4[0]);
	if (inet_pton(AF_INET6, address, v6) != 1)
		return address;
	for (size_t i = 0; i < sizeof(v6); i++) {
		uint8_t b = v6[sizeof(v6) - 1 - i];

		(void)snprintf(text + i * 4, 5, "%x.%x.", b & 15, b >> 4);
	}
	return arena_printf(a, "%sip6.arpa", text);
}

enum op_next
tlsalpn01_begin(struct op *op)
{
	struct validation *v = validation_of(op);

	return validation_reach(v, v->name, tlsalpn01_try);
}

/* --- what it showed --- */

static void
judge(struct validation *v, const struct tls_probe_result *r)
{
	struct alpn_wanted wanted = {
	    .is_address = v->is_address,
	    .name = v->name,
	    .digest = v->digest,
	};
	const char *fault;

	if (!r->takes_alpn) {
		validation_fail(v, VALIDATION_TLS,
		    "%s did not choose the protocol " PROTOCOL " (ALPN)",
		    r->address);
		return;
	}
	if (strcmp(r->version, "TLS 1.2") != 0 &&
	    strcmp(r->version, "TLS 1.3") != 0) {
		validation_fail(v, VALIDATION_TLS,
		    "%s speaks %s, and TLS 1.2 is the least", r->address,
		    r->version);
		return;
	}
	fault = alpn_cert_fault(r->chain[0].der, r->chain[0].len, &wanted);
	if (fault)
		validation_fail(v, VALIDATION_RESPONSE,
		    "the certificate that %s showed: %s", r->address, fault);
}

static void
on_probed(void *arg, const struct tls_probe_result *r)
{
	struct validation *v = arg;

	v->probe = NULL;
	v->probed = r->fault;
	if (r->fault == TLS_PROBE_OK)
		judge(v, r);
	else
		v->answer.why = arena_strdup(op_arena(v->op), r->error);
	op_wake(v->op);
}

/* --- asking --- */

static enum op_next
tlsalpn01_try(struct op *op)
{
	struct validation *v = validation_of(op);
	struct tls_probe_target target = {
	    .host = v->addrs[v->at],
	    .port = v->by->tls_port,
	    .server_name = v->is_address
			       ? tlsalpn01_address_name(op_arena(op), v->name)
			       : v->name,
	    .alpn = PROTOCOL,
	    .timeout_ms = validation_share_ms(v),
	};
	rc ret;

	v->probed = TLS_PROBE_TIMEOUT;
	v->answer.why = "no answer came in time";
	ret = tls_probe_start(v->by->prober, &target, on_probed, v, &v->probe);
	if (ret == RC_OK)
		return validation_wait(v, tlsalpn01_answered);
	validation_fail(v, VALIDATION_CONNECTION, "%s can't be asked", v->name);
	return op_goto(op, v->judged);
}

static enum op_next
tlsalpn01_answered(struct op *op)
{
	struct validation *v = validation_of(op);
	enum validation_fault fault =
	    v->probed == TLS_PROBE_NO_HANDSHAKE ||
		    v->probed == TLS_PROBE_NO_CERTIFICATE
		? VALIDATION_TLS
		: VALIDATION_CONNECTION;

	if (v->probe)
		tls_probe_cancel(v->probe);
	v->probe = NULL;
	if (v->probed == TLS_PROBE_OK)
		return op_goto(op, v->judged);
	if (v->probed == TLS_PROBE_NO_ROOM)
		return op_fail(op, RC_IO, "this host can't ask: %s",
		    v->answer.why);
	validation_note(v, fault, "%s: %s", v->addrs[v->at], v->answer.why);
	/* Who speaks TLS was reached: no other address is asked instead. */
	if (fault == VALIDATION_CONNECTION && ++v->at < v->naddrs)
		return op_goto(op, tlsalpn01_try);
	validation_fail(v, fault, "%s, port %d: %s", v->name, 443,
	    v->subproblems[v->nsubproblems - 1].detail);
	return op_goto(op, v->judged);
}
