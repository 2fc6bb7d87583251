/*
 * scep_probe: asks a SCEP server what it can do and which CA it is (RFC 8894
 * sections 3.5.1 and 4.2), and keeps what it said.
 *
 * Whatever comes back is a result, so the task is done by one try; a server
 * that sends no end is cut off by time and size.  Nothing is believed: texts
 * are cleaned before people see them.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/http/http_url.h"
#include "common/json/json.h"
#include "common/pki/cert/discovered.h"
#include "common/pki/cert/scepca.h"
#include "common/pki/cert/scepcaps.h"
#include "worker/kinds/kind.h"

/* For both calls; who asked waits a little longer. */
#define PROBE_MS 20000
#define CALL_MS 10000
#define STORE_MS 2000

struct probe {
	struct op *op;
	struct http_call *call;
	int64_t started_ms;
	bool is_reachable;
	const char *error; /* the first thing that went wrong; NULL */
	struct scepcaps caps;
	struct scepca ca; /* n 0: none came */
	/* of the call that has ended */
	bool has_answer;
	rc code;
	int status;
	struct span body;
	const char *why;
};

static op_step probe_caps_done;
static op_step probe_ca_done;
static op_step probe_store;

static struct probe *
state(struct op *op)
{
	return op_state(op, sizeof(struct probe));
}

/* --- calls --- */

static void
on_answer(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct probe *p = arg;
	struct arena *a = op_arena(p->op);

	p->call = NULL;
	p->code = code;
	p->status = status;
	p->body =
	    (struct span){(const unsigned char *)arena_strndup(a, body, len),
		len};
	p->why = error ? discovered_text(a, error, strlen(error), 256) : "";
	p->has_answer = true;
	op_wake(p->op);
}

static void
cancel(void *arg)
{
	struct probe *p = arg;

	http_call_cancel(p->call);
}

static void
note(struct probe *p, const char *error)
{
	if (!p->error)
		p->error = error;
}

static enum op_next
call(struct op *op, const char *argument, size_t max_reply, op_step *next)
{
	struct task *t = op_owner(op);
	struct probe *p = state(op);
	struct http_request req = {
	    .method = "GET",
	    .url = http_url_with(op_arena(op), t->subject, argument),
	    .accept = "*/*",
	    .timeout_ms = CALL_MS,
	    .max_reply = max_reply,
	};
	rc ret;

	p->has_answer = false;
	ret =
	    http_out_start(t->env->network->http, &req, on_answer, p, &p->call);
	if (ret != RC_OK) {
		note(p, "the address can't be asked");
		return op_goto(op, probe_store);
	}
	task_wait(t, true);
	return op_park(op, op_left_ms(op) - STORE_MS, next);
}

/* Whether there is an answer of this call with a body to be read. */
static bool
has_body(struct op *op, const char *what)
{
	struct probe *p = state(op);

	task_wait(op_owner(op), false);
	if (!p->has_answer) {
		http_call_cancel(p->call);
		p->call = NULL;
		note(p, op_printf(op, "%s: no answer came in time", what));
		return false;
	}
	if (p->code == RC_OK || p->code == RC_TOO_LARGE)
		p->is_reachable = true;
	if (p->code != RC_OK)
		note(p, op_printf(op, "%s: %s", what, p->why));
	else if (p->status != 200)
		note(p, op_printf(op, "%s: HTTP status %d", what, p->status));
	return p->code == RC_OK && p->status == 200;
}

/* --- what it says --- */

enum op_next
scep_probe_begin(struct op *op)
{
	struct task *t = op_owner(op);
	struct probe *p = state(op);

	p->op = op;
	p->started_ms = loop_now_ms(t->env->loop);
	arena_defer(op_arena(op), cancel, p);
	if (op_left_ms(op) > PROBE_MS)
		op_extend(op, PROBE_MS + STORE_MS);
	return call(op, "operation=GetCACaps", SCEPCAPS_BYTES_MAX,
	    probe_caps_done);
}

static enum op_next
probe_caps_done(struct op *op)
{
	struct probe *p = state(op);

	if (has_body(op, "GetCACaps"))
		scepcaps_read(op_arena(op), p->body, &p->caps);
	if (!p->is_reachable)
		return op_goto(op, probe_store);
	fault_point("worker.scep_probe.half");
	return call(op, "operation=GetCACert", SCEPCA_BYTES_MAX, probe_ca_done);
}

static enum op_next
probe_ca_done(struct op *op)
{
	struct probe *p = state(op);
	rc ret;

	if (!has_body(op, "GetCACert"))
		return op_goto(op, probe_store);
	ret = scepca_read(op_arena(op), p->body, &p->ca);
	if (ret != RC_OK)
		note(p, "GetCACert: the answer is no certificate in DER and "
			"no PKCS#7 of certificates");
	return op_goto(op, probe_store);
}

/* --- what is kept of it --- */

static void
put_caps(struct json_w *w, const struct scepcaps *c)
{
	json_w_key(w, "advertised_caps");
	json_w_open(w, '[');
	for (size_t i = 0; i < c->n; i++)
		json_w_str(w, c->words[i]);
	json_w_close(w, ']');
	json_w_kv_bool(w, "supports_rfc8894", scepcaps_has(c, "SCEPStandard"));
	json_w_kv_bool(w, "supports_aes", scepcaps_has(c, "AES"));
	json_w_kv_bool(w, "supports_post_operation",
	    scepcaps_has(c, "POSTPKIOperation"));
	json_w_kv_bool(w, "supports_renewal", scepcaps_has(c, "Renewal"));
	json_w_kv_bool(w, "supports_sha256", scepcaps_has(c, "SHA-256"));
	json_w_kv_bool(w, "supports_sha512", scepcaps_has(c, "SHA-512"));
}

static void
put_ca(struct op *op, struct json_w *w, struct probe *p)
{
	struct discovered d;
	rc ret;

	json_w_kv_int(w, "ca_cert_chain_length", (int64_t)p->ca.n);
	if (p->ca.n == 0)
		return;
	ret = discovered_read(op_arena(op), p->ca.certs[p->ca.ca], &d);
	if (ret != RC_OK) {
		note(p, "GetCACert: the CA's certificate can't be read");
		return;
	}
	json_w_kv(w, "ca_cert_subject", d.subject_dn);
	json_w_kv(w, "ca_cert_issuer", d.issuer_dn);
	json_w_kv_opt(w, "ca_cert_not_before", d.not_before);
	json_w_kv_opt(w, "ca_cert_not_after", d.not_after);
	json_w_kv(w, "ca_cert_algorithm", d.key_algorithm);
}

static enum op_next
probe_store(struct op *op)
{
	struct task *t = op_owner(op);
	struct probe *p = state(op);
	const char *found;
	struct json_w w;
	struct buf b;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "reachable", p->is_reachable);
	put_caps(&w, &p->caps);
	put_ca(op, &w, p);
	json_w_kv_int(&w, "probe_duration_ms",
	    loop_now_ms(t->env->loop) - p->started_ms);
	json_w_kv_opt(&w, "error", p->error);
	json_w_close(&w, '}');
	found = arena_strdup(op_arena(op), buf_cstr(&b));
	buf_fini(&b);
	return OP_QUERY(op, Q_SCEP_PROBE_STORE, task_stored,
	    lease_incarnation(t->env->lease), t->lease_text, t->id, found);
}
