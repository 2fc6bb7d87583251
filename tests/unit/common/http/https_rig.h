/*
 * https_rig: a small HTTPS server and a client of it on one loop.
 */
#ifndef TESTS_UNIT_COMMON_HTTP_HTTPS_RIG_H
#define TESTS_UNIT_COMMON_HTTP_HTTPS_RIG_H

#include <event2/http.h>

#include "common/http/http_out.h"

#define LONG_MS 10000
#define REPLY_MAX 4096

extern struct loop *loop;
extern struct http_out *client;
extern char ca_file[96];
extern int connections;

/* The last request. */
struct seen {
	int count;
	enum evhttp_cmd_type method;
	char uri[128];
	char authorization[128];
	char content_type[64];
	char body[256];
};
extern struct seen seen;

/* The server's certificate names dns; max_version as OpenSSL has it. */
void server_start(const char *dns, int max_version);
void client_start(const char *ca, bool insecure);
/* Both, as most tests want them. */
void start(void);
void stop(void);

struct result {
	struct http_call *call;
	int calls;
	rc code;
	int status;
	size_t len;
	char body[256];
	char error[256];
	struct result *also_cancel; /* from within the callback */
	const char *then_get;
	struct result *then_result;
};

rc call_url(const char *method, const char *url, const char *bearer,
    const char *body, int64_t timeout_ms, struct result *r) MUST_CHECK;
/* Of our server. */
rc call(const char *method, const char *path, const char *bearer,
    const char *body, int64_t timeout_ms, struct result *r) MUST_CHECK;
void get(const char *path, struct result *r);

/* Runs the loop until *value is want (NULL: never), or for ms. */
void run(const int *value, int want, int64_t ms);
void await(struct result *r);

#endif
