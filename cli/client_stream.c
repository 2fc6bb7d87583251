/*
 * client_stream: an answer without an end, taken as it comes: by a command
 * that does nothing else (client_stream), or beside its other calls
 * (client_listen).
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client_int.h"
#include "common/base/mem.h"

#define SILENT_SECONDS 60L /* a stream says something every 15 */

struct client_listen {
	struct cli *cli;
	CURL *curl;
	CURLM *multi; /* NULL: for client_stream */
	struct curl_slist *headers;
	bool (*take)(void *arg, const char *bytes, size_t n);
	void *arg;
	struct reply reply; /* of what is no stream */
	bool is_stream;
};

static bool
is_stream(CURL *curl)
{
	static const char wanted[] = "text/event-stream";
	const char *type = NULL;
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	return status == 200 && type &&
	       strncmp(type, wanted, sizeof(wanted) - 1) == 0;
}

static size_t
on_stream(char *bytes, size_t size, size_t n, void *arg)
{
	struct client_listen *l = arg;

	l->is_stream = l->is_stream || is_stream(l->curl);
	if (!l->is_stream)
		return client_on_data(bytes, size, n, &l->reply);
	return l->take(l->arg, bytes, size * n) ? size * n : 0;
}

static struct answer
end_stream(struct client_listen *l, CURLcode code)
{
	const char *why = client_find_fault(&l->reply, code);
	struct answer a = {.status = 0, .text = ""};

	if (l->is_stream) {
		a.status = 200;
	} else if (why) {
		client_set_fault(l->cli, why, code, &a);
	} else {
		client_read_head(l->cli, l->curl, &a);
		client_read_body(l->cli, &l->reply.body, &a);
		if (a.status == 200) { /* somebody else's server */
			a.status = 0;
			a.error = arena_printf(l->cli->arena,
			    "%s answered with no stream of events: is it a "
			    "certctl server?",
			    l->cli->server);
			a.fix = "Give the certctl server's own URL as "
				"CERTCTL_SERVER_URL.";
		}
	}
	return a;
}

static void
begin(struct client_listen *l, const char *path, const char *last_id)
{
	struct cli *c = l->cli;
	const char *url = arena_printf(c->arena, "%s%s", c->server, path);

	buf_init(&l->reply.body, CLIENT_REPLY_MAX);
	l->headers = curl_slist_append(NULL, "Accept: text/event-stream");
	if (c->api_key[0])
		l->headers = curl_slist_append(l->headers,
		    arena_printf(c->arena, "Authorization: Bearer %s",
			c->api_key));
	if (last_id[0])
		l->headers = curl_slist_append(l->headers,
		    arena_printf(c->arena, "Last-Event-ID: %s", last_id));
	l->curl = curl_easy_init();
	if (!l->curl)
		return;
	client_prepare(c, l->curl, "GET", url, NULL, l->headers, &l->reply);
	curl_easy_setopt(l->curl, CURLOPT_TIMEOUT_MS,
	    c->deadline_ms > 0 ? client_limit_ms(c, INT_MAX) : 0L);
	curl_easy_setopt(l->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(l->curl, CURLOPT_LOW_SPEED_TIME, SILENT_SECONDS);
	curl_easy_setopt(l->curl, CURLOPT_WRITEFUNCTION, on_stream);
	curl_easy_setopt(l->curl, CURLOPT_WRITEDATA, l);
}

static void
finish(struct client_listen *l)
{
	if (l->multi && l->curl)
		curl_multi_remove_handle(l->multi, l->curl);
	curl_easy_cleanup(l->curl);
	if (l->multi)
		curl_multi_cleanup(l->multi);
	curl_slist_free_all(l->headers);
	buf_fini(&l->reply.body);
}

struct answer
client_stream(struct cli *c, const char *path, const char *last_id,
    bool (*take)(void *arg, const char *bytes, size_t n), void *arg)
{
	struct client_listen l = {.cli = c, .take = take, .arg = arg};
	struct answer a;

	begin(&l, path, last_id);
	a = end_stream(&l,
	    l.curl ? curl_easy_perform(l.curl) : CURLE_FAILED_INIT);
	finish(&l);
	return a;
}

/* --- beside other calls --- */

struct client_listen *
client_listen_new(struct cli *c, const char *path, const char *last_id,
    bool (*take)(void *arg, const char *bytes, size_t n), void *arg)
{
	struct client_listen *l = mem_zalloc(sizeof(*l));

	l->cli = c;
	l->take = take;
	l->arg = arg;
	begin(l, path, last_id);
	l->multi = curl_multi_init();
	if (l->multi && l->curl)
		curl_multi_add_handle(l->multi, l->curl);
	return l;
}

void
client_listen_free(struct client_listen *l)
{
	if (!l)
		return;
	finish(l);
	free(l);
}

bool
client_listen_run(struct client_listen *l, int64_t ms, struct answer *out)
{
	int running = 0, left;
	const CURLMsg *m;

	if (!l->multi || !l->curl) {
		*out = end_stream(l, CURLE_FAILED_INIT);
		return false;
	}
	if (ms > 0)
		curl_multi_poll(l->multi, NULL, 0,
		    ms > INT_MAX ? INT_MAX : (int)ms, NULL);
	curl_multi_perform(l->multi, &running);
	if (running > 0)
		return true;
	m = curl_multi_info_read(l->multi, &left);
	*out = end_stream(l,
	    m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_RECV_ERROR);
	return false;
}
