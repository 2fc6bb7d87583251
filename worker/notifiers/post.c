/*
 * What channels make their calls with.
 */
#include <string.h>

#include "worker/notifiers/notifier.h"

#define TIMEOUT_MS 10000
#define REPLY_MAX 65536
/* Longer ones may hold a token. */
#define SHORT_PATH 8

void
notifier_hide_url(struct notifier_call *c, const char *url)
{
	const char *host = strstr(url, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;
	size_t i = 0;

	while (c->secrets[i])
		i++;
	c->secrets[i++] = url;
	if (path && strlen(path) > SHORT_PATH)
		c->secrets[i] = path;
}

struct json_w *
notifier_json_begin(struct notifier_json *j)
{
	buf_init(&j->b, 0);
	json_w_init(&j->w, &j->b);
	json_w_open(&j->w, '{');
	return &j->w;
}

void
notifier_json_post(struct notifier_json *j, struct arena *a,
    struct notifier_call *c, const char *url)
{
	json_w_close(&j->w, '}');
	c->http = (struct http_request){
	    .method = "POST",
	    .url = url,
	    .body = arena_strndup(a, buf_cstr(&j->b), j->b.len),
	    .body_len = j->b.len,
	    .headers = c->headers,
	    .timeout_ms = TIMEOUT_MS,
	    .max_reply = REPLY_MAX,
	};
	buf_fini(&j->b);
}

const char *
notifier_escape(struct arena *a, const char *text,
    void (*put)(struct buf *b, char c))
{
	const char *out;
	struct buf b;

	buf_init(&b, 0);
	for (; *text; text++)
		put(&b, *text);
	out = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return out;
}
