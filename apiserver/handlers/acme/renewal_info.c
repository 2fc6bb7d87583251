/*
 * GET renewal-info/{certid}: when a certificate is to be renewed (RFC 9773
 * section 4).  Whoever knows the certificate may ask.
 */
#include <inttypes.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/keys.h"
#include "apiserver/handlers/acme/answer.h"
#include "apiserver/resources/wiretime.h"
#include "common/pki/cert/certid.h"

enum { POLL_S = 6 * 60 * 60 };

static op_step renewal_info_read;

enum op_next
acme_renewal_info_start(struct op *op)
{
	struct certid *id = op_state(op, sizeof(*id));
	enum op_next no;
	rc ret;

	if (!acme_is_on(op, &no))
		return no;
	if (!cfg_bool(req_api(op)->cfg, "acme_server_ari_enabled"))
		return acme_problem_status(op, ACME_MALFORMED, 404,
		    "renewal information is switched off on this server");
	ret = certid_parse(op_arena(op), req_param(op, "certid"), id);
	if (ret != RC_OK)
		return acme_problem(op, ACME_MALFORMED,
		    "this is no identifier of a certificate: send the key "
		    "identifier of its issuer and its serial number, each in "
		    "base64url, with a dot between them (RFC 9773 section "
		    "4.1)");
	return OP_QUERY(op, Q_ACME_RENEWAL_INFO, renewal_info_read,
	    id->serial_hex);
}

/* The row of the certificate that was asked for: a serial may stand in those
 * of several issuers. */
static bool
find_row(struct op *op, const struct certid *id, size_t *out_row)
{
	struct certid found;
	rc ret;

	for (size_t i = 0; i < op_rows(op); i++) {
		ret =
		    certid_of_pem(op_arena(op), op_text(op, i, "pem"), &found);
		if (ret == RC_OK && certid_equal(id, &found)) {
			*out_row = i;
			return true;
		}
	}
	return false;
}

static int64_t
poll_s(struct op *op)
{
	int64_t ms = cfg_int(req_api(op)->cfg, "acme_server_ari_poll_interval");

	if (ms == 0)
		return POLL_S;
	return ms < 1000 ? 1 : ms / 1000;
}

static enum op_next
renewal_info_read(struct op *op)
{
	const struct certid *id = op_state(op, sizeof(*id));
	struct json_w *w;
	size_t row;

	if (!find_row(op, id, &row))
		return acme_problem_status(op, ACME_MALFORMED, 404,
		    "no such certificate was issued here");
	reply_header(op, "Retry-After", op_printf(op, "%" PRId64, poll_s(op)));
	reply_header(op, "Cache-Control", "no-store");
	acme_index_render(op_owner(op));
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_key(w, "suggestedWindow");
	json_w_open(w, '{');
	json_w_key(w, "start");
	wiretime_put(w, op_text(op, row, "starts_at"));
	json_w_key(w, "end");
	wiretime_put(w, op_text(op, row, "ends_at"));
	json_w_close(w, '}');
	json_w_close(w, '}');
	return reply_json(op, 200);
}
