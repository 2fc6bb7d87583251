/*
 * What workers ask and are told, as JSON in frames.
 */
#include <cjson/cJSON.h>

#include "common/base/arena.h"
#include "common/json/json.h"
#include "scheduler/dispatch_int.h"

#define KEY_MAX 32
#define HINT_LANES_MAX 16

/* --- hints --- */

/* It is compared, and becomes a parameter.  A time that is none for all that is
 * refused by the database, and forgotten with the next full look. */
static bool
is_key(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "0123456789-:. +")] == '\0';
}

rc
dispatch_read_hint(struct arena *a, const struct cJSON *body, struct hint *out)
{
	static const char *tasks[] = {LANE_TASKS};
	const char *after;
	rc ret;

	ret = json_str(body, "due_after", KEY_MAX, &after);
	if (ret != RC_OK)
		return ret;
	if (!is_key(after))
		return RC_INVALID;
	*out = (struct hint){1, tasks, after};
	ret = json_str_list(a, body, "issuers", HINT_LANES_MAX,
	    WORKER_ISSUER_MAX, &out->lanes, &out->n);
	return ret == RC_NOT_FOUND ? RC_OK : ret;
}

/* --- requests --- */

static rc
read_holding(struct arena *a, const struct cJSON *body,
    struct worker_request *out)
{
	const struct cJSON *list = json_get(body, "holding"), *item;
	int64_t *ids;
	size_t n = 0;

	if (!list)
		return RC_OK;
	if (!cJSON_IsArray(list) ||
	    cJSON_GetArraySize(list) > WORKER_HOLDING_MAX)
		return RC_INVALID;
	ids = arena_alloc(a, WORKER_HOLDING_MAX * sizeof(ids[0]));
	cJSON_ArrayForEach(item, list)
	{
		/* json_parse has refused what a double cannot hold. */
		if (!cJSON_IsNumber(item) || item->valuedouble < 1 ||
		    item->valuedouble > 9007199254740991.0)
			return RC_INVALID;
		ids[n++] = (int64_t)item->valuedouble;
	}
	out->holding = ids;
	out->nholding = n;
	return RC_OK;
}

static rc
read_without(struct arena *a, const struct cJSON *body,
    struct worker_request *out)
{
	const char **items = NULL;
	size_t n = 0;
	rc ret;

	ret = json_str_list(a, body, "without", WORKER_WITHOUT_MAX,
	    WORKER_ISSUER_MAX, &items, &n);
	if (ret == RC_NOT_FOUND)
		return RC_OK;
	if (ret != RC_OK)
		return ret;
	out->without = items;
	out->nwithout = n;
	return RC_OK;
}

rc
dispatch_read_request(struct arena *a, const struct frame *f,
    struct worker_request *out, const struct cJSON **out_body)
{
	const struct cJSON *body;
	const char *why;
	int64_t room;
	rc ret;

	ret = json_parse(a, f->body, f->body_len, &body, &why);
	if (ret != RC_OK)
		return ret;
	ret = json_str(body, "worker", WORKER_NAME_MAX, &out->incarnation);
	if (ret != RC_OK || out->incarnation[0] == '\0')
		return RC_INVALID;
	ret = json_int(body, "room", 0, WORKER_ROOM_MAX, &room);
	if (ret != RC_OK)
		return ret;
	out->room = (unsigned)room;
	*out_body = body;
	ret = read_holding(a, body, out);
	return ret == RC_OK ? read_without(a, body, out) : ret;
}

/* --- answers --- */

static void
send_reply(struct dispatch *d, uint64_t reply_to, struct buf *body)
{
	struct frame f = {
	    .kind = FRAME_WORK_REPLY,
	    .term = d->is_on ? d->term : 0,
	    .body = buf_cstr(body),
	    .body_len = body->len,
	};

	bus_server_reply(d->o.bus, reply_to, &f);
}

static void
write_lease(struct json_w *w, int64_t lease_id, const struct lane *lane,
    int64_t count)
{
	json_w_open(w, '{');
	json_w_kv_int(w, "id", lease_id);
	json_w_kv(w, "kind", lane_is_tasks(lane) ? "task" : "job");
	json_w_kv_opt(w, "issuer_id", lane->issuer_id);
	json_w_kv_int(w, "count", count);
	json_w_close(w, '}');
}

void
dispatch_reply(struct dispatch *d, uint64_t reply_to, int64_t lease_id,
    const struct lane *lane, int64_t count)
{
	struct json_w w;
	struct buf body;

	buf_init(&body, FRAME_BODY_MAX);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_key(&w, "leases");
	json_w_open(&w, '[');
	if (lease_id != 0)
		write_lease(&w, lease_id, lane, count);
	json_w_close(&w, ']');
	json_w_kv_raw(&w, "revoked", "[]");
	json_w_kv_bool(&w, "leader", d->is_on);
	json_w_close(&w, '}');
	send_reply(d, reply_to, &body);
	buf_fini(&body);
}

void
dispatch_refuse(struct dispatch *d, uint64_t reply_to, const char *why)
{
	struct json_w w;
	struct buf body;

	buf_init(&body, FRAME_BODY_MAX);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_raw(&w, "leases", "[]");
	json_w_kv(&w, "refused", why);
	json_w_kv_bool(&w, "leader", false);
	json_w_close(&w, '}');
	send_reply(d, reply_to, &body);
	buf_fini(&body);
}

void
dispatch_answer(struct dispatch *d, struct worker *w, int64_t lease_id,
    const struct lane *lane, int64_t count)
{
	dispatch_reply(d, w->reply_to, lease_id, lane, count);
	worker_answered(w, lease_id);
}
