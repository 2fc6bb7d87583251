#include "apiserver/edge/render.h"

#include "apiserver/edge/request_io.h"

/* A head that could not be read leads to no area. */
static const struct renderer *
renderer_of(const struct request *r)
{
	return r->match.rules ? r->match.rules->renderer : &render_api;
}

void
render_refusal(struct request *r, enum refusal why)
{
	renderer_of(r)->refuse(r, why);
}

void
render_error(struct request *r, int status, const char *message)
{
	renderer_of(r)->error(r, status, message);
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
