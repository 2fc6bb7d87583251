/* render_api: one rc, one error body. */
#include <string.h>

#include "apiserver/edge/request_io.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {413, "Request Entity Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

const char *
render_reason(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unknown";
}

void
render_error(struct request *r, int status, const char *message)
{
	struct json_w *w = &r->writer;

	buf_reset(&r->reply);
	json_w_init(w, &r->reply);
	json_w_open(w, '{');
	json_w_kv(w, "error", render_reason(status));
	json_w_kv(w, "message", message);
	json_w_kv(w, "request_id", r->id);
	json_w_close(w, '}');
	buf_putc(&r->reply, '\n');
	r->status = status;
	r->content_type = "application/json";
	if (status == 503)
		request_set_header(r, "Retry-After", "1");
}

/* What a client is told when we have nothing better to say. */
static const char *
generic_message(rc code, int status)
{
	if (code == RC_TIMEOUT)
		return "the request took too long; try again";
	if (code == RC_BUSY)
		return "the server is busy; try again";
	if (status == 503)
		return "the service is not available now; try again";
	if (status >= 500)
		return "internal error";
	return rc_name(code);
}

void
render_failure(struct request *r, rc code, const char *message)
{
	int status = rc_http_status(code);

	if (!message || !*message)
		message = generic_message(code, status);
	render_error(r, status, message);
}
