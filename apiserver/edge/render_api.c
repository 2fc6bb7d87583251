/* render_api: errors as the contract's JSON. */
#include "apiserver/edge/reason.h"
#include "apiserver/edge/render.h"
#include "apiserver/edge/request_io.h"

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json; charset=utf-8"

/* The contract's words, types and newlines, each of them as it says. */
static const struct {
	int status;
	const char *content_type;
	const char *body;
} refusals[] = {
    [REFUSAL_NO_KEY] = {401, TEXT,
	"{\"error\":\"Authorization header required\"}\n"},
    [REFUSAL_BAD_HEADER] = {401, TEXT,
	"{\"error\":\"Invalid Authorization header format, "
	"expected: Bearer <token>\"}\n"},
    [REFUSAL_BAD_KEY] = {401, TEXT, "{\"error\":\"Invalid API key\"}\n"},
    [REFUSAL_SESSION] = {401, TEXT,
	"{\"error\":\"Authentication required\"}\n"},
    [REFUSAL_FORBIDDEN] = {403, JSON,
	"{\"error\":\"Insufficient permissions\"}"},
    [REFUSAL_NO_PATH] = {404, TEXT, "404 page not found\n"},
    [REFUSAL_NO_METHOD] = {405, TEXT, "Method Not Allowed\n"},
    [REFUSAL_RATE] = {429, JSON, "{\"error\":\"Rate limit exceeded\"}"},
    [REFUSAL_LOOKUP] = {500, JSON, "{\"error\":\"Internal error\"}"},
};

static void
api_refuse(struct request *r, enum refusal why)
{
	int status = refusals[why].status;

	request_set_text(r, status, refusals[why].content_type,
	    refusals[why].body);
	if (why == REFUSAL_SESSION)
		/* RFC 6750 section 3; dashboards tell their user by it. */
		request_set_header(r, "WWW-Authenticate",
		    "Bearer realm=\"certctl\", error=\"invalid_token\", "
		    "error_description=\"invalid_token\"");
	else if (status == 401)
		request_set_header(r, "WWW-Authenticate",
		    "Bearer realm=\"certctl\"");
}

static void
put_error(struct request *r, int status, const char *message,
    const char *request_id)
{
	struct json_w *w = &r->writer;

	buf_reset(&r->reply);
	json_w_init(w, &r->reply);
	json_w_open(w, '{');
	json_w_kv(w, "error", reason_of(status));
	json_w_kv(w, "message", message);
	json_w_kv_opt(w, "request_id", request_id);
	json_w_close(w, '}');
	buf_putc(&r->reply, '\n');
	r->status = status;
	r->content_type = "application/json";
	if (status == 503)
		request_set_header(r, "Retry-After", "1");
}

static void
api_error(struct request *r, int status, const char *message)
{
	put_error(r, status, message, r->id);
}

static void
brief_error(struct request *r, int status, const char *message)
{
	put_error(r, status, message, NULL);
}

static void
register_refuse(struct request *r, enum refusal why)
{
	api_refuse(r, why);
	if (r->status == 401)
		api_error(r, 401, "invalid_or_missing_bootstrap_token");
}

const struct renderer render_api = {"api", api_refuse, api_error};
const struct renderer render_brief = {"brief", api_refuse, brief_error};
const struct renderer render_register = {"register", register_refuse,
    api_error};
