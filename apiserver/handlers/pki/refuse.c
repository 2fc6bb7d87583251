/*
 * Errors of these routes: the contract's body without a request id, as their
 * clients are no people.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/pki/pki.h"

enum op_next
pki_refuse(struct op *op, int status, const char *error, const char *message)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "error", error);
	json_w_kv(w, "message", message);
	json_w_close(w, '}');
	return reply_json(op, status);
}
