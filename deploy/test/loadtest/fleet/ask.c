#include "deploy/test/loadtest/fleet/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define TICK_MS 20
#define CALL_MS 30000
#define REPLY_MAX 65536
#define URL_BYTES 3000
#define UNDER_WAY_MAX 256
#define AGAIN_MS 1000 /* after a refusal, as its Retry-After says */

/* One that is under way, or waits to be asked for again. */
struct asked {
	struct ask *ask;
	const char *id;
	int64_t again_ms;
	struct http_call *call;
	struct asked *prev, *next;
};

struct ask {
	struct loop *loop;
	struct http_out *http;
	struct watch *watch;
	struct timer *tick;
	char *key; /* wiped */
	const char *url;
	size_t a_second, n; /* asked for */
	size_t under_way;
	struct asked *calls;
	struct asked *refused; /* the first one is due first */
	int64_t since_ms;
};

/* Of the rate limit, of a server that has too much to do, or of none at all:
 * whoever wants a renewal asks again. */
static bool
is_refusal(rc code, int status)
{
	return code != RC_OK || status == 429 || status == 503;
}

static void
answered(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct asked *one = arg;
	struct ask *a = one->ask;

	/* What came of it was seen at the seam. */
	DL_DELETE(a->calls, one);
	a->under_way--;
	one->call = NULL;
	if (!is_refusal(code, status)) {
		free(one);
		return;
	}
	one->again_ms = loop_now_ms(a->loop) + AGAIN_MS;
	DL_APPEND(a->refused, one);
	timer_arm(a->tick, TICK_MS);
}

static void
send_one(struct ask *a, struct asked *one)
{
	char url[URL_BYTES];
	struct http_request req = {
	    .method = "POST",
	    .url = url,
	    .bearer = a->key,
	    .timeout_ms = CALL_MS,
	    .max_reply = REPLY_MAX,
	};

	(void)snprintf(url, sizeof(url), "%s/api/v1/certificates/%s/renew",
	    a->url, one->id);
	if (http_out_start(a->http, &req, answered, one, &one->call) != RC_OK) {
		watch_error(a->watch, "renewal not asked for");
		free(one);
		return;
	}
	DL_APPEND(a->calls, one);
	a->under_way++;
}

static void
ask_first(struct ask *a, const char *id)
{
	struct asked *one = mem_zalloc(sizeof(*one));

	one->ask = a;
	one->id = id;
	watch_point(a->watch, id, NULL, CYCLE_DUE);
	send_one(a, one);
}

static void
ask_again(struct ask *a)
{
	struct asked *one = a->refused;

	DL_DELETE(a->refused, one);
	send_one(a, one);
}

static void
on_tick(void *arg)
{
	struct ask *a = arg;
	size_t all = cycles_count(a->watch->cycles);
	int64_t now = loop_now_ms(a->loop), passed = now - a->since_ms;
	size_t until = (size_t)passed * a->a_second / 1000 + 1;

	while (a->refused && a->refused->again_ms <= now &&
	       a->under_way < UNDER_WAY_MAX)
		ask_again(a);
	while (a->n < all && a->n < until && a->under_way < UNDER_WAY_MAX)
		ask_first(a, cycles_id(a->watch->cycles, a->n++));
	if (a->n < all || a->refused)
		timer_arm(a->tick, TICK_MS);
}

static rc
read_key(const char *path, char **out)
{
	struct secret *s;
	rc ret = secret_new_from_file(path, &s);

	if (ret != RC_OK)
		return ret;
	*out = mem_strndup((const char *)secret_bytes(s), secret_len(s));
	secret_free(s);
	return RC_OK;
}

rc
ask_new(struct loop *l, struct http_out *http, const char *key_file,
    struct watch *w, struct ask **out)
{
	struct ask *a;
	char *key;
	rc ret = read_key(key_file, &key);

	if (ret != RC_OK)
		return ret;
	a = mem_zalloc(sizeof(*a));
	a->loop = l;
	a->http = http;
	a->watch = w;
	a->key = key;
	a->tick = timer_new(l, on_tick, a);
	*out = a;
	return RC_OK;
}

void
ask_start(struct ask *a, const char *server_url, size_t a_second)
{
	a->url = server_url;
	a->a_second = a_second;
	a->since_ms = loop_now_ms(a->loop);
	timer_arm(a->tick, 0);
}

void
ask_free(struct ask *a)
{
	struct asked *one, *next;

	if (!a)
		return;
	DL_FOREACH_SAFE(a->calls, one, next)
	{
		http_call_cancel(one->call);
		free(one);
	}
	DL_FOREACH_SAFE(a->refused, one, next)
	{
		free(one);
	}
	timer_free(a->tick);
	mem_wipe(a->key, strlen(a->key));
	free(a->key);
	free(a);
}
