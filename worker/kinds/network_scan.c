/*
 * network_scan: asks the endpoints of one scan target for the certificates
 * that they serve.
 *
 * A scan is a row (discovery_scans) and a task that goes from lease to lease:
 * each does a slice of it, as many endpoints as fit into SLICE_MS, and stores
 * in one statement what they served and where the next slice begins.  A
 * worker that dies repeats its slice, which finds nothing new.
 *
 * Endpoints are numbered, all ports of an address together.  How many are
 * asked at once, and how many begin in a second, is the same for all scans of
 * a worker (worker/network.h); while the scan waits for them it takes no slot.
 */
#include <cjson/cJSON.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/buf.h"
#include "common/base/cidr.h"
#include "common/base/fault.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/asn1/name.h"
#include "common/pki/cert/discovered.h"
#include "worker/kinds/kind.h"

/* Nothing begins after this; what is under way ends by its own time, and
 * NETWORK_DRAIN_MS later where it waits for its turn.  All of it, and storing
 * what was found, ends within KIND_DEADLINE_MS: a patient scan has shorter
 * slices. */
#define SLICE_MS 15000
#define STORE_MS 5000
#define RETRY_MS 100
#define WAIT_MS 200
#define TIMEOUT_MIN_MS 100
#define TIMEOUT_MAX_MS 30000
#define PORTS_MAX 100
#define CIDRS_MAX 64
/* A slice that found as much ends early. */
#define FOUND_MAX 500
#define FOUND_BYTES (2 * 1024 * 1024)
#define ERRORS_MAX 1000
#define FORMAT "network"

struct endpoint {
	struct scan *scan;
	struct tls_probe *probe; /* NULL: this one is free */
	char path[64];           /* host:port */
	struct endpoint *next;   /* among the free ones */
};

struct scan {
	struct op *op;
	struct network *net;
	/* what the task says */
	struct cidr cidrs[CIDRS_MAX];
	size_t ncidrs, nports;
	int ports[PORTS_MAX];
	int64_t timeout_ms;
	/* endpoints by number */
	size_t total, next;
	size_t running;
	int64_t until_ms;
	bool is_over; /* no more begin in this slice */
	struct endpoint *all, *idle;
	/* what was found */
	struct buf found;
	struct json_w w;
	size_t nfound;
	const char *errors[ERRORS_MAX];
	size_t nerrors, nrefused;
	const char *why_refused;
	const char *certificates;
};

static op_step scan_run;
static op_step scan_store;
static op_step scan_stored;
static op_step scan_not_stored;

static struct scan *
state(struct op *op)
{
	return op_state(op, sizeof(struct scan));
}

/* --- what is to be asked --- */

static void
add_error(struct scan *s, const char *text)
{
	if (s->nerrors < ERRORS_MAX)
		s->errors[s->nerrors++] = text;
}

static void
read_cidrs(struct scan *s, const char **texts, size_t n)
{
	struct cidr c;

	for (size_t i = 0; i < n; i++) {
		if (cidr_parse(texts[i], &c) == RC_OK && cidr_hosts(&c) > 0) {
			s->cidrs[s->ncidrs++] = c;
			s->total += cidr_hosts(&c) * s->nports;
		} else {
			add_error(s,
			    op_printf(s->op,
				"%s is no block of 4096 addresses at most",
				discovered_text(op_arena(s->op), texts[i],
				    strlen(texts[i]), CIDR_TEXT_MAX)));
		}
	}
}

static void
read_ports(struct scan *s, const struct cJSON *payload)
{
	const struct cJSON *port;

	cJSON_ArrayForEach(port, json_get(payload, "ports"))
	{
		if (cJSON_IsNumber(port) && port->valuedouble >= 1 &&
		    port->valuedouble <= 65535 && s->nports < PORTS_MAX)
			s->ports[s->nports++] = (int)port->valuedouble;
	}
}

/* Made by network_scans_begin of a row that an operator's SQL may have
 * written. */
static rc
read_payload(struct scan *s, const char *text)
{
	struct arena *a = op_arena(s->op);
	const struct cJSON *payload;
	const char **texts = NULL, *why;
	int64_t at = 0;
	size_t n = 0;
	rc ret;

	ret = json_parse(a, text, strlen(text), &payload, &why);
	if (ret == RC_OK)
		ret = json_int(payload, "at", 0, INT64_MAX / 2, &at);
	if (ret == RC_OK)
		ret = json_int(payload, "timeout_ms", INT32_MIN, INT32_MAX,
		    &s->timeout_ms);
	if (ret == RC_OK)
		ret = json_str_list(a, payload, "cidrs", CIDRS_MAX, 256, &texts,
		    &n);
	if (ret != RC_OK)
		return RC_INVALID;
	if (s->timeout_ms < TIMEOUT_MIN_MS)
		s->timeout_ms = TIMEOUT_MIN_MS;
	if (s->timeout_ms > TIMEOUT_MAX_MS)
		s->timeout_ms = TIMEOUT_MAX_MS;
	read_ports(s, payload);
	read_cidrs(s, texts, n);
	if (at > 0)
		s->nerrors = 0; /* told of by the first slice */
	s->next = (size_t)at < s->total ? (size_t)at : s->total;
	return RC_OK;
}

/* The n-th endpoint's host and port. */
static int
endpoint_at(const struct scan *s, size_t n, char host[46])
{
	size_t at = n / s->nports;
	struct sockaddr_storage sa;
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;
	size_t i = 0;

	while (at >= cidr_hosts(&s->cidrs[i]))
		at -= cidr_hosts(&s->cidrs[i++]);
	cidr_host(&s->cidrs[i], at, &sa);
	memcpy(&v4, &sa, sizeof(v4));
	memcpy(&v6, &sa, sizeof(v6));
	if (s->cidrs[i].is_v4)
		name_print_ip((const uint8_t *)&v4.sin_addr, 4, host);
	else
		name_print_ip((const uint8_t *)&v6.sin6_addr, 16, host);
	return s->ports[n % s->nports];
}

/* --- what they serve --- */

static void
add_chain(struct scan *s, const char *path, const struct tls_probe_result *r)
{
	struct arena *a = arena_new();
	struct discovered d;
	rc ret;

	for (size_t i = 0; i < r->nchain; i++) {
		ret = discovered_read(a,
		    (struct span){r->chain[i].der, r->chain[i].len}, &d);
		if (ret != RC_OK)
			continue;
		discovered_put(&s->w, &d, path, FORMAT, true);
		s->nfound++;
	}
	arena_free(a);
}

/* Where nothing listens there is nothing to be said; where something does and
 * shows no certificate, there is. */
static void
add_fault(struct scan *s, const char *path, const struct tls_probe_result *r)
{
	switch (r->fault) {
	case TLS_PROBE_REFUSED:
		s->nrefused++;
		s->why_refused = arena_strdup(op_arena(s->op), r->error);
		break;
	case TLS_PROBE_NO_HANDSHAKE:
	case TLS_PROBE_NO_CERTIFICATE:
	case TLS_PROBE_NO_ROOM:
		add_error(s, op_printf(s->op, "%s: %s", path,
				 discovered_text(op_arena(s->op), r->error,
				     strlen(r->error), 200)));
		break;
	default:
		break;
	}
}

static void
on_probed(void *arg, const struct tls_probe_result *r)
{
	struct endpoint *e = arg;
	struct scan *s = e->scan;

	e->probe = NULL;
	e->next = s->idle;
	s->idle = e;
	s->running--;
	s->net->scanning--;
	if (r->nchain > 0)
		add_chain(s, e->path, r);
	else
		add_fault(s, e->path, r);
	op_wake(s->op);
}

static void
drop_all(void *arg)
{
	struct scan *s = arg;

	for (size_t i = 0; s->all && i < s->net->parallel; i++) {
		if (s->all[i].probe) {
			tls_probe_cancel(s->all[i].probe);
			s->net->scanning--;
		}
	}
	buf_fini(&s->found);
}

/* --- a slice --- */

static int64_t
slice_ms(const struct scan *s)
{
	int64_t left =
	    KIND_DEADLINE_MS - NETWORK_DRAIN_MS - STORE_MS - s->timeout_ms;

	return left < SLICE_MS ? left : SLICE_MS;
}

enum op_next
network_scan_begin(struct op *op)
{
	struct task *t = op_owner(op);
	struct scan *s = state(op);
	rc ret;

	s->op = op;
	s->net = t->env->network;
	buf_init(&s->found, 0);
	arena_defer(op_arena(op), drop_all, s);
	json_w_init(&s->w, &s->found);
	json_w_open(&s->w, '[');
	ret = read_payload(s, t->payload);
	if (ret != RC_OK)
		return op_fail(op, RC_NOT_IMPLEMENTED,
		    "this worker can't read what is to be scanned");
	s->all = arena_alloc(op_arena(op), s->net->parallel * sizeof(*s->all));
	for (size_t i = 0; i < s->net->parallel; i++) {
		s->all[i] = (struct endpoint){.scan = s, .next = s->idle};
		s->idle = &s->all[i];
	}
	s->until_ms = loop_now_ms(t->env->loop) + slice_ms(s);
	task_wait(t, true);
	return op_goto(op, scan_run);
}

static rc
begin_next(struct scan *s)
{
	struct endpoint *e = s->idle;
	char host[46];
	struct tls_probe_target target = {
	    .host = host,
	    .port = endpoint_at(s, s->next, host),
	    .timeout_ms = s->timeout_ms,
	};
	rc ret;

	(void)snprintf(e->path, sizeof(e->path),
	    strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, target.port);
	ret = tls_probe_start(s->net->prober, &target, on_probed, e, &e->probe);
	if (ret != RC_OK)
		return ret;
	s->idle = e->next;
	s->next++;
	s->running++;
	s->net->scanning++;
	return RC_OK;
}

static bool
is_slice_over(const struct scan *s)
{
	return s->next >= s->total || s->nfound >= FOUND_MAX ||
	       s->found.len >= FOUND_BYTES || s->nerrors >= ERRORS_MAX ||
	       loop_now_ms(op_loop(s->op)) >= s->until_ms;
}

static enum op_next
scan_run(struct op *op)
{
	struct scan *s = state(op);
	rc ret = RC_OK;

	s->is_over = s->is_over || is_slice_over(s);
	while (ret == RC_OK && !s->is_over && s->next < s->total && s->idle &&
	       s->net->scanning < s->net->parallel)
		ret = begin_next(s);
	if (ret != RC_OK)
		return op_fail(op, ret, "an endpoint can't be asked");
	if (s->running == 0 && (s->is_over || s->next >= s->total)) {
		json_w_close(&s->w, ']');
		s->certificates = buf_cstr(&s->found);
		return op_goto(op, scan_store);
	}
	/* Others may have all that may run at once. */
	return op_park(op, WAIT_MS, scan_run);
}

/* --- what came of it --- */

static enum op_next
scan_store(struct op *op)
{
	struct task *t = op_owner(op);
	struct scan *s = state(op);

	task_wait(t, false);
	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	if (!buf_ok(&s->found))
		return op_fail(op, RC_INTERNAL, "what was found is too much");
	if (s->nrefused > 0) {
		add_error(s, op_printf(op, "%zu endpoints were not asked: %s",
				 s->nrefused, s->why_refused));
		s->nrefused = 0;
	}
	fault_point("worker.network_scan.store");
	op_catch(op, scan_not_stored);
	return OP_QUERY(op, Q_NETWORK_SCAN_STORE, scan_stored,
	    lease_incarnation(t->env->lease), t->lease_text, t->id,
	    op_printf(op, "%zu", s->next), s->next >= s->total ? "t" : "f",
	    s->certificates,
	    db_text_array(op_arena(op), s->errors, s->nerrors));
}

/* Made again after any doubt: what was stored is not the task's next slice any
 * more. */
static enum op_next
scan_not_stored(struct op *op)
{
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if (rc_is_retryable(ret) && op_left_ms(op) > STORE_MS)
		return op_sleep(op, RETRY_MS, scan_store);
	return op_fail(op, ret, "what was found could not be stored: %s",
	    e->message);
}

static enum op_next
scan_stored(struct op *op)
{
	struct task *t = op_owner(op);
	struct scan *s = state(op);
	const char *outcome = op_text(op, 0, "outcome");

	if (strcmp(outcome, "lost") == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	log_info("NETWORK-SCAN",
	    "%s: %zu of %zu endpoints, %zu certificates, %s", t->subject,
	    s->next, s->total, s->nfound, outcome);
	return op_done(op);
}
