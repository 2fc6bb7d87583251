#include "agent/discovery.h"

#include <stdlib.h>
#include <string.h>

#include "agent/call.h"
#include "agent/scan.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/log/log.h"

#define JITTER_PERCENT 10
#define STEP_LIMIT_MS 120000
#define CALL_MS 30000
#define TRIES_MAX 8          /* of one part, in half a minute */
#define AGAIN_MS (5 * 60000) /* a scan that could not be told */
/* A part of a scan: well below what servers take. */
#define PART_CERTS 200
#define PART_BYTES ((size_t)256 * 1024)

struct discovery {
	struct agent *agent;
	struct timer *next;
	struct op *telling; /* a scan, or NULL */
	struct scan_known *known;
	bool is_stopping;
	/* Of the scan under way. */
	struct scan *scan;
	struct buf body;
	char id[129]; /* the server's; "" before the first part */
	int64_t delay_ms, tries;
	int64_t found, fresh; /* by the last answer */
	int64_t with_text;    /* certificates sent with theirs */
	bool is_told;         /* all of it */
};

static op_step look;
static op_step send;
static op_step answered;

rc
discovery_check(const struct agent *a)
{
	const char *const *dirs = cfg_list(a->cfg, "discovery_dirs");

	for (; *dirs; dirs++) {
		if (**dirs == '/')
			continue;
		log_error("CONFIG",
		    "CERTCTL_DISCOVERY_DIRS names \"%s\"; each must be an "
		    "absolute path",
		    *dirs);
		return RC_INVALID;
	}
	return RC_OK;
}

/* --- telling it --- */

static void
make_body(struct discovery *d, size_t *out_with_text)
{
	const char *const *dirs = cfg_list(d->agent->cfg, "discovery_dirs");
	struct json_w w;

	buf_reset(&d->body);
	json_w_init(&w, &d->body);
	json_w_open(&w, '{');
	if (d->id[0])
		json_w_kv(&w, "discovery_scan_id", d->id);
	json_w_key(&w, "directories");
	json_w_open(&w, '[');
	for (; *dirs; dirs++)
		json_w_str(&w, *dirs);
	json_w_close(&w, ']');
	scan_put_part(d->scan, &w, PART_CERTS, PART_BYTES, out_with_text);
	json_w_kv_int(&w, "scan_duration_ms", scan_ms(d->scan));
	json_w_close(&w, '}');
}

static enum op_next
send_part(struct op *op)
{
	struct discovery *d = agent_arg(op);
	size_t with_text;

	make_body(d, &with_text);
	d->with_text += (int64_t)with_text;
	d->delay_ms = 0;
	d->tries = 0;
	return send(op);
}

static enum op_next
send(struct op *op)
{
	struct discovery *d = agent_arg(op);

	op_extend(op, STEP_LIMIT_MS);
	d->tries++;
	return call_api(op, "POST",
	    op_printf(op, "/api/v1/agents/%s/discoveries", d->agent->id),
	    buf_cstr(&d->body), CALL_MS, answered);
}

static enum op_next
give_up(struct op *op)
{
	const struct call_reply *reply = call_reply(op);

	log_warn("DISCOVERY-FAILED", "what was found could not be told: %s",
	    reply->error ? reply->error : "unexpected answer");
	return op_done(op);
}

static enum op_next
answered(struct op *op)
{
	const struct call_reply *reply = call_reply(op);
	struct discovery *d = agent_arg(op);
	const char *id = "";
	rc ret;

	if (call_is_in_doubt(reply) && d->tries < TRIES_MAX)
		return op_sleep(op, call_backoff(&d->delay_ms), send);
	if (reply->code != RC_OK || reply->status != 202 || !reply->json)
		return give_up(op);
	ret = json_str(reply->json, "id", sizeof(d->id) - 1, &id);
	if (ret != RC_OK)
		return give_up(op);
	memcpy(d->id, id, strlen(id) + 1);
	IGNORE_RESULT(json_int(reply->json, "certificates_found", 0, INT64_MAX,
	    &d->found)); /* absent: as before */
	IGNORE_RESULT(
	    json_int(reply->json, "certificates_new", 0, INT64_MAX, &d->fresh));
	scan_part_told(d->scan);
	return op_goto(op, look);
}

/* --- one scan --- */

static void
finish(struct discovery *d)
{
	d->is_told = true;
	scan_keep_known(d->scan);
	/* It was restored from a copy, or rows were removed: it has none of
	 * the texts that it was not sent again. */
	if (d->fresh > d->with_text) {
		scan_known_clear(d->known);
		d->is_told = false;
	}
	log_info("DISCOVERED",
	    "%lld certificates, %lld of them new to the server; %zu errors%s%s",
	    (long long)d->found, (long long)d->fresh, scan_nerrors(d->scan),
	    scan_nerrors(d->scan) > 0 ? ", the first: " : "",
	    scan_first_error(d->scan));
}

static enum op_next
look(struct op *op)
{
	struct discovery *d = agent_arg(op);
	bool goes_on;

	op_extend(op, STEP_LIMIT_MS);
	if (scan_has_part(d->scan, PART_CERTS, PART_BYTES))
		return send_part(op);
	goes_on = scan_look(d->scan);
	if (goes_on)
		return op_goto(op, look);
	if (scan_has_part(d->scan, 1, 1))
		return send_part(op);
	finish(d);
	return op_done(op);
}

static void
ended(struct agent *a, void *arg)
{
	struct discovery *d = arg;
	int64_t wait = cfg_int(a->cfg, "discovery_interval");

	d->telling = NULL;
	scan_free(d->scan);
	d->scan = NULL;
	if (d->is_stopping || a->is_retired)
		return;
	if (!d->is_told && wait > AGAIN_MS)
		wait = AGAIN_MS;
	timer_arm(d->next, rand_jitter(wait, JITTER_PERCENT));
}

static void
begin(void *arg)
{
	struct discovery *d = arg;

	d->scan = scan_new(d->agent, cfg_list(d->agent->cfg, "discovery_dirs"),
	    d->known);
	d->id[0] = '\0';
	d->found = d->fresh = d->with_text = 0;
	d->is_told = false;
	d->telling = agent_op_start(d->agent, "discovery", STEP_LIMIT_MS, look,
	    d, ended);
}

/* --- the whole --- */

struct discovery *
discovery_start(struct agent *a)
{
	int64_t spread = cfg_int(a->cfg, "start_spread");
	struct discovery *d;

	if (*cfg_list(a->cfg, "discovery_dirs") == NULL)
		return NULL;
	d = mem_zalloc(sizeof(*d));
	d->agent = a;
	d->known = scan_known_new();
	buf_init(&d->body, 0);
	d->next = timer_new(a->loop, begin, d);
	timer_arm(d->next, spread > 0 ? rand_below((uint32_t)spread) : 0);
	return d;
}

void
discovery_stop(struct discovery *d)
{
	if (!d)
		return;
	d->is_stopping = true;
	timer_disarm(d->next);
	if (d->telling)
		op_abort(d->telling, RC_CANCELLED);
}

void
discovery_free(struct discovery *d)
{
	if (!d)
		return;
	discovery_stop(d);
	timer_free(d->next);
	scan_free(d->scan);
	scan_known_free(d->known);
	buf_fini(&d->body);
	free(d);
}
