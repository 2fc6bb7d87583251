/*
 * The digest: shown as it would be mailed, and mailed by workers, whose
 * answer is waited for a while, so that "sent" is said of what was sent.
 */
#include "apiserver/handlers/digest/digest.h"

#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/digest/digest.h"

#define WAIT_MS 20000
#define LOOK_MS 200
/* Left of the request's time for the answer. */
#define ANSWER_MS 2000

static op_step preview_done;
static op_step send_asked;
static op_step send_look;
static op_step send_looked;

struct send {
	int64_t until_ms;
	const char *task; /* every task of this digest is as new, or newer */
};

static bool
is_on(struct op *op)
{
	return cfg_bool(req_api(op)->cfg, "digest_enabled");
}

static enum op_next
is_off(struct op *op)
{
	return reply_status(op, 503, "error", "digest service not configured");
}

enum op_next
digest_preview(struct op *op)
{
	static const struct db_stmt stmts[] = DIGEST_STMTS;

	if (!is_on(op))
		return is_off(op);
	return op_batch(op, preview_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
preview_done(struct op *op)
{
	const char *html;

	if (!digest_is_known(op))
		return op_fail(op, RC_UNAVAILABLE, DIGEST_UNKNOWN);
	html = digest_html(op);
	/* Nothing in it runs or is fetched, whatever the names in it are. */
	reply_header(op, "Content-Security-Policy", "default-src 'none'");
	return reply_bytes(op, 200, "text/html", html, strlen(html));
}

/* --- sending --- */

enum op_next
digest_send(struct op *op)
{
	const struct cJSON *body;
	const char *why;
	rc ret;

	ret = req_json(op, true, &body, &why);
	if (ret == RC_OK && strcmp(json_text(op_arena(op), body), "{}") != 0) {
		ret = RC_INVALID;
		why = "Invalid request body: it has no members";
	}
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	if (!is_on(op))
		return is_off(op);
	return OP_QUERY(op, Q_DIGEST_REQUEST, send_asked, page_actor(op),
	    req_actor_type(op));
}

static enum op_next
send_asked(struct op *op)
{
	struct send *s = op_state(op, sizeof(*s));
	int64_t wait_ms = op_left_ms(op) - ANSWER_MS;

	if (wait_ms > WAIT_MS)
		wait_ms = WAIT_MS;
	if (!op_bool(op, 0, "has_worker"))
		return reply_status(op, 202, "status", "queued");
	s->task = op_text(op, 0, "id");
	s->until_ms = loop_now_ms(op_loop(op)) + wait_ms;
	return op_sleep(op, LOOK_MS, send_look);
}

static enum op_next
send_look(struct op *op)
{
	const struct send *s = op_state(op, sizeof(*s));

	return OP_QUERY(op, Q_DIGEST_STATE, send_looked, s->task);
}

static enum op_next
send_looked(struct op *op)
{
	const struct send *s = op_state(op, sizeof(*s));

	if (op_bool(op, 0, "has_failed"))
		return op_fail(op, RC_INTERNAL,
		    "The digest could not be sent to everybody; certctl "
		    "status and the workers' logs say why");
	if (!op_bool(op, 0, "is_open"))
		return reply_status(op, 200, "status", "sent");
	if (loop_now_ms(op_loop(op)) >= s->until_ms)
		return reply_status(op, 202, "status", "queued");
	return op_sleep(op, LOOK_MS, send_look);
}

/* --- what the document says of it --- */

const struct shape shape_digest_preview = {
    .does = "Show the digest",
    .answer = SHAPE_BYTES,
    .content_type = "text/html",
};
const struct shape shape_digest_send = {
    .does = "Send the digest",
    .other_status = 202,
    .has_body = true,
    .may_be_empty = true,
    .answer = SHAPE_STATUS,
};
