/*
 * GET /api/v1/openapi.json: the API, described; the same for everybody.
 */
#include "apiserver/openapi/document.h"

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/resources/shape.h"

enum op_next
openapi_start(struct op *op)
{
	const struct document *d = req_api(op)->openapi;

	reply_header(op, "ETag", d->etag);
	reply_header(op, "Cache-Control", "no-cache");
	if (req_has_tag(op, d->etag))
		return reply_bytes(op, 304, NULL, "", 0);
	return reply_bytes(op, 200, "application/json", d->text, d->len);
}

static const struct field document_fields[] = {
    {"openapi", FIELD_TEXT},
    {"info", FIELD_CONFIG},
    {"servers", FIELD_OBJECTS},
    {"security", FIELD_OBJECTS},
    {"paths", FIELD_CONFIG},
    {"components", FIELD_CONFIG},
};
const struct shape shape_openapi_start = {
    .does = "Get this description",
    .has_tag = true,
    .fields = SHAPE_TABLE(document_fields),
};
