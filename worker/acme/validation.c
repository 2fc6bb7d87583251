#include "worker/acme/validation.h"

#include <stdarg.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/base/enc.h"
#include "common/base/hostname.h"
#include "common/base/plain.h"
#include "common/log/log.h"

#define USER_AGENT "certctl-acme/1.0"

/* --- settings --- */

static rc
check_settings(const struct acme_validator *a)
{
	rc ret = RC_OK;

	if (!dns_is_server(a->resolver)) {
		log_error("CONFIG",
		    "CERTCTL_ACME_SERVER_DNS01_RESOLVER: is to be an address "
		    "and a port, such as 192.0.2.53:53 or [2001:db8::53]:53");
		ret = RC_INVALID;
	}
	if (a->checks_caa && !a->caa_identities[0]) {
		log_error("CONFIG",
		    "CERTCTL_ACME_SERVER_CAA_CHECK: needs "
		    "CERTCTL_ACME_SERVER_CAA_IDENTITIES, the names by which "
		    "CAA records allow this CA");
		ret = RC_INVALID;
	}
	return ret;
}

rc
acme_validator_init(struct acme_validator *a, struct loop *l,
    const struct cfg *cfg)
{
	static const char *const limits[VALIDATION_TYPES] = {
	    [HTTP_01] = "acme_server_http01_concurrency",
	    [DNS_01] = "acme_server_dns01_concurrency",
	    [TLS_ALPN_01] = "acme_server_tlsalpn01_concurrency",
	};
	struct http_out_opts http = {
	    .least_tls = HTTP_TLS_1_2,
	    /* Who is validated has no certificate yet that anybody knows. */
	    .insecure = true,
	    .allow_plain = true,
	    .keep_none = true,
	    .outbound = &a->outbound,
	    .user_agent = USER_AGENT,
	};
	struct tls_prober_opts tls = {.outbound = &a->outbound};
	rc ret;

	a->loop = l;
	a->outbound = (struct outbound){
	    .refuses_private = cfg_bool(cfg, "block_rfc1918_outbound"),
	    .allows_loopback = cfg_bool(cfg, "acme_server_allow_loopback"),
	};
	a->resolver = cfg_str(cfg, "acme_server_dns01_resolver");
	if (cfg_is_set(cfg, "acme_server_dns01_resolver"))
		a->address_resolver = a->resolver;
	a->http_port = (int)cfg_int(cfg, "acme_server_http01_port");
	a->tls_port = (int)cfg_int(cfg, "acme_server_tlsalpn01_port");
	a->checks_caa = cfg_bool(cfg, "acme_server_caa_check");
	a->caa_identities = cfg_list(cfg, "acme_server_caa_identities");
	for (size_t i = 0; i < VALIDATION_TYPES; i++) {
		TAILQ_INIT(&a->turns[i].waiting);
		a->turns[i].limit = (size_t)cfg_int(cfg, limits[i]);
	}
	tls.parallel = a->turns[TLS_ALPN_01].limit;
	ret = check_settings(a);
	if (ret == RC_OK)
		ret = http_out_new(l, &http, &a->http);
	if (ret == RC_OK)
		ret = tls_prober_new(l, &tls, &a->prober);
	if (ret != RC_OK && ret != RC_INVALID)
		log_error("ACME-VALIDATE", "no client for validations: %s",
		    rc_name(ret));
	return ret;
}

void
acme_validator_fini(struct acme_validator *a)
{
	tls_prober_free(a->prober);
	http_out_free(a->http);
	*a = (struct acme_validator){0};
}

/* --- the proof --- */

struct validation *
validation_of(struct op *op)
{
	return op_state(op, sizeof(struct validation));
}

/* Forgets what is under way. */
static void
give_up(void *arg)
{
	struct validation *v = arg;

	dns_ask_free(v->ask);
	v->ask = NULL;
	if (v->call)
		http_call_cancel(v->call);
	v->call = NULL;
	if (v->probe)
		tls_probe_cancel(v->probe);
	v->probe = NULL;
}

void
validation_begin(struct validation *v, const char *thumbprint)
{
	v->key_authorization = op_printf(v->op, "%s.%s", v->token, thumbprint);
	if (EVP_Digest(v->key_authorization, strlen(v->key_authorization),
		v->digest, NULL, EVP_sha256(), NULL) != 1)
		log_fatal("ACME-VALIDATE", "OpenSSL makes no SHA-256");
	arena_defer(op_arena(v->op), give_up, v);
}

/* --- what failed --- */

static struct validation_problem
problem_of(struct validation *v, enum validation_fault fault, const char *fmt,
    va_list ap)
{
	char *detail = arena_vprintf(op_arena(v->op), fmt, ap);

	plain_clean(detail);
	return (struct validation_problem){fault, detail};
}

void
validation_fail(struct validation *v, enum validation_fault fault,
    const char *fmt, ...)
{
	va_list ap;

	if (v->has_failed)
		return;
	v->has_failed = true;
	va_start(ap, fmt);
	v->problem = problem_of(v, fault, fmt, ap);
	va_end(ap);
}

void
validation_note(struct validation *v, enum validation_fault fault,
    const char *fmt, ...)
{
	va_list ap;

	if (v->nsubproblems == VALIDATION_PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	v->subproblems[v->nsubproblems++] = problem_of(v, fault, fmt, ap);
	va_end(ap);
}

const char *
validation_fault_type(enum validation_fault fault)
{
#define FAULT_TYPE(value, name, status) [value] = (name),
	static const char *const types[] = {VALIDATION_FAULTS(FAULT_TYPE)};
#undef FAULT_TYPE

	return types[fault];
}

int
validation_fault_status(enum validation_fault fault)
{
#define FAULT_STATUS(value, name, status) [value] = (status),
	static const int statuses[] = {VALIDATION_FAULTS(FAULT_STATUS)};
#undef FAULT_STATUS

	return statuses[fault];
}

/* --- waiting --- */

static int64_t
left_ms(const struct validation *v)
{
	int64_t ms = v->ends_ms - loop_now_ms(v->by->loop);

	return ms > 0 ? ms : 1;
}

int64_t
validation_share_ms(const struct validation *v)
{
	int64_t share_ms = left_ms(v) / (int64_t)(v->naddrs - v->at);

	return share_ms > 0 ? share_ms : 1;
}

enum op_next
validation_wait(struct validation *v, op_step *next)
{
	return op_park(v->op, left_ms(v), next);
}

static void
on_reply(void *arg, const struct dns_reply *r)
{
	struct validation *v = arg;

	v->reply = r;
	v->resolver_why = r->is_silent ? r->why : "";
	op_wake(v->op);
}

enum op_next
validation_ask(struct validation *v, enum dns_type type, const char *name,
    op_step *next)
{
	struct dns_question q = {
	    .type = type,
	    .name = name,
	    .server =
		type == DNS_ADDRESS ? v->by->address_resolver : v->by->resolver,
	    .timeout_ms = left_ms(v),
	};

	give_up(v);
	v->reply = NULL;
	v->resolver_why = "no answer of the name server came in time";
	v->ask = dns_ask_start(v->by->loop, op_arena(v->op), &q, on_reply, v);
	return validation_wait(v, next);
}

/* --- where a host is --- */

static enum op_next
reach_found(struct op *op)
{
	struct validation *v = validation_of(op);
	const struct dns_reply *r = v->reply;

	if (r && r->outcome == DNS_FOUND) {
		v->addrs = r->addrs;
		v->naddrs = r->n;
		return op_goto(op, v->reached);
	}
	if (!r)
		validation_fail(v, VALIDATION_DNS,
		    "the addresses of %s could not be looked up in time",
		    v->host);
	else if (r->outcome == DNS_NO_NAME)
		validation_fail(v, VALIDATION_DNS,
		    "there is no name %s (NXDOMAIN)", v->host);
	else if (r->outcome == DNS_NO_RECORD)
		validation_fail(v, VALIDATION_DNS,
		    "the name %s has no A and no AAAA record", v->host);
	else
		validation_fail(v, VALIDATION_DNS,
		    "the addresses of %s could not be looked up: %s", v->host,
		    r->why);
	return op_goto(op, v->judged);
}

enum op_next
validation_reach(struct validation *v, const char *host, op_step *next)
{
	char(*one)[LOOKUP_ADDR_SIZE];

	v->host = host;
	v->reached = next;
	v->at = 0;
	v->nsubproblems = 0;
	if (!hostname_is_address(host))
		return validation_ask(v, DNS_ADDRESS, host, reach_found);
	one = arena_alloc(op_arena(v->op), sizeof(*one));
	memcpy(*one, host, strnlen(host, sizeof(*one) - 1) + 1);
	(*one)[sizeof(*one) - 1] = '\0';
	v->addrs = (const char(*)[LOOKUP_ADDR_SIZE])one;
	v->naddrs = 1;
	return op_goto(v->op, next);
}

const char *
validation_address(const struct validation *v, int port)
{
	const char *addr = v->addrs[v->at];

	return op_printf(v->op, strchr(addr, ':') ? "[%s]:%d" : "%s:%d", addr,
	    port);
}
