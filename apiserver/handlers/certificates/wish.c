/*
 * What the body of a renew, deploy or revoke says.
 *
 * The contract reads one only where its Content-Type is application/json and
 * nothing else; a client may send any other, with anything in it.  So what is
 * no object says nothing there.  One that is an object is obeyed whatever it is
 * called: a reason for a revocation must not be lost to a forgotten header.
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/certificates/certs.h"

rc
cert_wish_read(struct op *op, const struct cJSON **out_body,
    const char **out_why)
{
	const char *type = req_header(op, "Content-Type"), *why;
	const struct cJSON *body;
	rc ret;

	if (type != NULL && strcmp(type, "application/json") == 0)
		return req_json(op, true, out_body, out_why);
	ret = req_json_any(op, true, &body, &why);
	if (ret == RC_OK)
		return req_json(op, true, out_body, out_why);
	*out_body = NULL;
	return RC_OK;
}
