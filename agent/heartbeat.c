#include "agent/heartbeat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/call.h"
#include "agent/identity.h"
#include "agent/served.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/log/log.h"

#define CALL_MS 30000
#define RETRY_MS 1000
#define JITTER_PERCENT 10

struct heartbeat {
	struct agent *agent;
	struct timer *next;
	struct op *sending;
	int64_t failures;
	bool is_again; /* there is news since it was sent */
	bool is_stopping;
};

static const char *
make_body(struct op *op, const struct agent *a)
{
	struct utsname u;
	struct json_w w;
	struct buf b;
	const char *text;

	if (uname(&u) != 0)
		memset(&u, 0, sizeof(u));
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "version", CERTCTL_VERSION);
	json_w_kv(&w, "hostname", a->hostname);
	json_w_kv(&w, "os", "linux");
	json_w_kv(&w, "architecture", u.machine);
	json_w_kv_opt(&w, "served", served_digest(a->served));
	json_w_close(&w, '}');
	text = arena_strdup(op_arena(op), buf_cstr(&b));
	buf_fini(&b);
	return text;
}

static enum op_next
heartbeat_answered(struct op *op)
{
	const struct call_reply *reply = call_reply(op);
	struct heartbeat *h = agent_arg(op);
	const char *served;

	if (reply->code == RC_OK && reply->status == 200) {
		if (h->failures > 0)
			log_info("HEARTBEAT-OK", "the server answers again");
		h->failures = 0;
		if (reply->json &&
		    json_str(reply->json, "served", 16, &served) == RC_OK &&
		    strcmp(served, "wanted") == 0)
			served_tell(h->agent->served);
		return op_done(op);
	}
	if (h->failures++ == 0)
		log_warn("HEARTBEAT-FAILED", "%s",
		    reply->error ? reply->error : "unexpected answer");
	/* A key that is nobody's, or another id's since a return whose answer
	 * was lost, or an id that is gone. */
	if (reply->code == RC_OK &&
	    (reply->status == 401 || reply->status == 403 ||
		reply->status == 404))
		identity_return(h->agent);
	return op_done(op);
}

static enum op_next
heartbeat_send(struct op *op)
{
	struct heartbeat *h = agent_arg(op);

	return call_api(op, "POST",
	    op_printf(op, "/api/v1/agents/%s/heartbeat", h->agent->id),
	    make_body(op, h->agent), CALL_MS, heartbeat_answered);
}

static void
heartbeat_sent(struct agent *a, void *arg)
{
	struct heartbeat *h = arg;
	int64_t wait = cfg_int(a->cfg, "heartbeat_interval");

	h->sending = NULL;
	if (h->is_stopping || a->is_retired)
		return;
	if (h->failures > 0 && h->failures * RETRY_MS < wait)
		wait = h->failures * RETRY_MS;
	else if (h->is_again)
		wait = RETRY_MS;
	h->is_again = false;
	timer_arm(h->next, rand_jitter(wait, JITTER_PERCENT));
}

static void
heartbeat_next(void *arg)
{
	struct heartbeat *h = arg;

	h->sending = agent_op_start(h->agent, "heartbeat", CALL_MS * 2,
	    heartbeat_send, h, heartbeat_sent);
}

struct heartbeat *
heartbeat_start(struct agent *a)
{
	struct heartbeat *h = mem_zalloc(sizeof(*h));
	int64_t spread = cfg_int(a->cfg, "start_spread");

	h->agent = a;
	h->next = timer_new(a->loop, heartbeat_next, h);
	timer_arm(h->next, spread > 0 ? rand_below((uint32_t)spread) : 0);
	return h;
}

void
heartbeat_soon(struct heartbeat *h)
{
	if (!h || h->is_stopping)
		return;
	if (h->sending)
		h->is_again = true;
	else if (h->failures == 0)
		timer_arm(h->next, 0);
}

void
heartbeat_stop(struct heartbeat *h)
{
	if (!h)
		return;
	h->is_stopping = true;
	timer_disarm(h->next);
	if (h->sending)
		op_abort(h->sending, RC_CANCELLED);
}

void
heartbeat_free(struct heartbeat *h)
{
	if (!h)
		return;
	heartbeat_stop(h);
	timer_free(h->next);
	free(h);
}
