/*
 * POST /network-scan/scep-probe and GET /network-scan/scep-probes: what a SCEP
 * server says that it can do (RFC 8894), as a worker asked it.
 *
 * This process calls nobody: a task does it, and the request waits for its
 * end, which is bounded.
 */
#include "apiserver/handlers/network/network.h"

#include <sys/socket.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/http/http_url.h"

#define LOOK_MS 100
/* Left of the request's time for the answer. */
#define ANSWER_MS 2000

struct probe {
	const char *id;
};

static op_step probe_asked;
static op_step probe_look;
static op_step probe_looked;
static op_step probes_done;

static const char *
url_read(struct arena *a, const char *text, const char **out_why)
{
	(void)a;
	*out_why = http_url_refuses(text);
	return *out_why == NULL ? text : NULL;
}

static const struct field probe_body[] = {
    {"url", FIELD_TEXT, FIELD_REQUIRED, .max = 2048, .convert = url_read},
};

static const struct field probe_fields[] = {
    {"id", FIELD_TEXT},
    {"target_url", FIELD_TEXT},
    {"reachable", FIELD_BOOL},
    {"advertised_caps", FIELD_TEXTS},
    {"supports_rfc8894", FIELD_BOOL},
    {"supports_aes", FIELD_BOOL},
    {"supports_post_operation", FIELD_BOOL},
    {"supports_renewal", FIELD_BOOL},
    {"supports_sha256", FIELD_BOOL},
    {"supports_sha512", FIELD_BOOL},
    {"ca_cert_subject", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"ca_cert_issuer", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"ca_cert_not_before", FIELD_TIME},
    {"ca_cert_not_after", FIELD_TIME},
    {"ca_cert_expired", FIELD_BOOL},
    {"ca_cert_days_to_expiry", FIELD_INT},
    {"ca_cert_algorithm", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"ca_cert_chain_length", FIELD_INT},
    {"probed_at", FIELD_TIME},
    {"probe_duration_ms", FIELD_INT},
    {"error", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
};

/* --- a probe --- */

enum op_next
scep_probe(struct op *op)
{
	const struct outbound o = network_outbound(op);
	const char *given, *url = "", *why, *what = NULL;
	const struct cJSON *body;
	struct sockaddr_storage at;
	rc ret;

	ret = req_json(op, false, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), probe_body,
		    ARRAY_LEN(probe_body), body, true, &given, &why);
	if (ret == RC_OK)
		ret = json_str(body, "url", 2048, &url);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID, "%s", why);
	if (http_url_address(url, &at))
		what = outbound_refuses(&o, (const struct sockaddr *)&at);
	if (what != NULL)
		return op_fail(op, RC_INVALID,
		    "url leads to %s, which is not probed", what);
	return OP_QUERY(op, Q_SCEP_PROBE_REQUEST, probe_asked, url,
	    page_actor(op), req_actor_type(op));
}

static enum op_next
probe_asked(struct op *op)
{
	struct probe *p = op_state(op, sizeof(*p));

	if (op_rows(op) == 0)
		return op_fail(op, RC_UNAVAILABLE,
		    "No worker runs that could probe it");
	p->id = op_text(op, 0, "id");
	req_hint(op, 0, NULL, NULL);
	return op_sleep(op, LOOK_MS, probe_look);
}

static enum op_next
probe_look(struct op *op)
{
	const struct probe *p = op_state(op, sizeof(*p));

	return OP_QUERY(op, Q_SCEP_PROBE_GET, probe_looked, p->id);
}

static enum op_next
probe_looked(struct op *op)
{
	if (op_rows(op) > 0)
		return page_reply_one(op, 200, probe_fields,
		    ARRAY_LEN(probe_fields));
	if (op_left_ms(op) < ANSWER_MS)
		return op_fail(op, RC_TIMEOUT,
		    "The probe is still under way; what it finds is told by "
		    "certctl network-scans probes");
	return op_sleep(op, LOOK_MS, probe_look);
}

/* --- the newest --- */

enum op_next
scep_probe_list(struct op *op)
{
	return OP_QUERY0(op, Q_SCEP_PROBE_LIST, probes_done);
}

static enum op_next
probes_done(struct op *op)
{
	struct json_w *w = reply_writer(op);
	struct field_rows rows;

	field_rows_init(&rows, op_result(op, 0), probe_fields,
	    ARRAY_LEN(probe_fields), NULL);
	json_w_open(w, '{');
	json_w_key(w, "probes");
	field_rows_put_all(&rows, op_arena(op), w, op_rows(op));
	json_w_kv_int(w, "probe_count", (int64_t)op_rows(op));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

const struct shape shape_scep_probe = {
    .does = "Ask a SCEP server what it can do",
    .has_body = true,
    .body = {SHAPE_TABLE(probe_body)},
    .answer = SHAPE_OBJECT,
    .fields = SHAPE_TABLE(probe_fields),
};
static const struct field probe_count[] = {{"probe_count", FIELD_INT}};

const struct shape shape_scep_probe_list = {
    .does = "List the newest probes of SCEP servers",
    .answer = SHAPE_ROWS,
    .member = "probes",
    .fields = SHAPE_TABLE(probe_fields),
    .more_fields = SHAPE_TABLE(probe_count),
};
