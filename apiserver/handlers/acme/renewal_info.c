/*
 * GET renewal-info/{certid}: when a certificate is to be renewed (RFC 9773
 * section 4).  Whoever knows the certificate may ask.
 *
 * An answer is kept for a second, from when the database was asked, so that a
 * window that moved is seen by then; so is that there is no such certificate.
 * Of each kind only so many are kept, those of unknown ones apart: who asks for
 * what there is not keeps nobody else's from being there.
 */
#include <inttypes.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/answer.h"
#include "apiserver/handlers/acme/keys.h"
#include "apiserver/live/cache.h"
#include "apiserver/live/gather.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/mem.h"
#include "common/pki/cert/certid.h"

enum { POLL_S = 6 * 60 * 60, KEPT_MS = 1000 };

struct asking {
	struct certid id;
	const struct gathered *rows;
	int64_t asked_ms;
};

static op_step renewal_info_read;

/* --- the answer --- */

static int64_t
poll_s(struct op *op)
{
	int64_t ms = cfg_int(req_api(op)->cfg, "acme_server_ari_poll_interval");

	if (ms == 0)
		return POLL_S;
	return ms < 1000 ? 1 : ms / 1000;
}

static enum op_next
answer(struct op *op, const char *body)
{
	reply_header(op, "Retry-After", op_printf(op, "%" PRId64, poll_s(op)));
	reply_header(op, "Cache-Control", "no-store");
	acme_index_render(op_owner(op));
	return reply_bytes(op, 200, "application/json", body, strlen(body));
}

static enum op_next
answer_unknown(struct op *op)
{
	return acme_problem_status(op, ACME_MALFORMED, 404,
	    "no such certificate was issued here");
}

/* True: it was answered by what is kept. */
static bool
answers_kept(struct op *op, const char *certid, enum op_next *out)
{
	const struct api *api = req_api(op);
	int64_t now = loop_now_ms(op_loop(op));
	const char *body = cache_get(api->acme_kept, certid, now);

	if (body)
		*out = answer(op, body);
	else if (cache_get(api->acme_unknown, certid, now))
		*out = answer_unknown(op);
	else
		return false;
	return true;
}

/* --- the question --- */

enum op_next
acme_renewal_info_start(struct op *op)
{
	const char *certid = req_param(op, "certid");
	struct asking *a;
	enum op_next next;
	rc ret;

	if (!acme_is_on(op, &next))
		return next;
	if (!cfg_bool(req_api(op)->cfg, "acme_server_ari_enabled"))
		return acme_problem_status(op, ACME_MALFORMED, 404,
		    "renewal information is switched off on this server");
	if (answers_kept(op, certid, &next))
		return next;
	a = op_state(op, sizeof(*a));
	ret = certid_parse(op_arena(op), certid, &a->id);
	if (ret != RC_OK)
		return acme_problem(op, ACME_MALFORMED,
		    "this is no identifier of a certificate: send the key "
		    "identifier of its issuer and its serial number, each in "
		    "base64url, with a dot between them (RFC 9773 section "
		    "4.1)");
	a->asked_ms = loop_now_ms(op_loop(op));
	a->rows = gather_ask(req_api(op)->acme_windows, op, a->id.serial_hex);
	return op_park(op, op_left_ms(op), renewal_info_read);
}

/* The row of the certificate that was asked for: a serial may stand in those
 * of several issuers. */
static bool
find_row(struct op *op, const struct asking *a, const struct db_result *rows,
    size_t first, size_t *out_row)
{
	int pem = db_col(rows, "pem");
	struct certid found;
	rc ret;

	for (size_t i = first; i < first + gathered_count(a->rows); i++) {
		ret =
		    certid_of_pem(op_arena(op), db_text(rows, i, pem), &found);
		if (ret == RC_OK && certid_equal(&a->id, &found)) {
			*out_row = i;
			return true;
		}
	}
	return false;
}

static char *
make_body(const struct db_result *rows, size_t row)
{
	struct json_w w;
	struct buf b;
	char *body;

	buf_init(&b, 1024);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_key(&w, "suggestedWindow");
	json_w_open(&w, '{');
	json_w_key(&w, "start");
	wiretime_put(&w, db_text(rows, row, db_col(rows, "starts_at")));
	json_w_key(&w, "end");
	wiretime_put(&w, db_text(rows, row, db_col(rows, "ends_at")));
	json_w_close(&w, '}');
	json_w_close(&w, '}');
	buf_add(&b, "\n", 1);
	body = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return body;
}

static enum op_next
renewal_info_read(struct op *op)
{
	const struct asking *a = op_state(op, sizeof(*a));
	const char *certid = req_param(op, "certid");
	struct api *api = req_api(op);
	const struct db_result *rows;
	size_t first, row;
	char *body;
	rc ret;

	ret = gathered_row(a->rows, &rows, &first);
	if (ret != RC_OK && ret != RC_NOT_FOUND)
		return op_fail(op, ret, "%s", "");
	if (ret == RC_NOT_FOUND || !find_row(op, a, rows, first, &row)) {
		cache_put(api->acme_unknown, certid, api, a->asked_ms, KEPT_MS);
		return answer_unknown(op);
	}
	body = make_body(rows, row);
	cache_put(api->acme_kept, certid, body, a->asked_ms, KEPT_MS);
	return answer(op, body);
}
