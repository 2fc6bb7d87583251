/*
 * client_int: what calls and streams have in common; for client.c and
 * client_stream.c alone.
 */
#ifndef CLI_CLIENT_INT_H
#define CLI_CLIENT_INT_H

#include <curl/curl.h>

#include "cli/cli.h"
#include "common/base/buf.h"

#define CLIENT_REPLY_MAX (64u * 1024 * 1024)

struct reply {
	struct buf body;
	bool has_head; /* to its end; without, curl takes what came for all */
	char fault[CURL_ERROR_SIZE]; /* in curl's words, "" for none */
};

/* So long, or less where the run has a deadline that is nearer; never 0. */
long client_limit_ms(const struct cli *c, int64_t ms);
/* One request to the run's server.  What it points at must live until it has
 * ended. */
void client_prepare(struct cli *c, CURL *curl, const char *method,
    const char *url, const char *body, struct curl_slist *headers,
    struct reply *reply);
/* Adds to the body of a struct reply; curl's CURLOPT_WRITEFUNCTION. */
size_t client_on_data(char *bytes, size_t size, size_t n, void *arg);
/* Why there is no answer, or NULL. */
const char *client_find_fault(const struct reply *r, CURLcode code);
void client_set_fault(const struct cli *c, const char *why, CURLcode code,
    struct answer *a);
void client_read_head(const struct cli *c, CURL *curl, struct answer *a);
void client_read_body(struct cli *c, const struct buf *body, struct answer *a);

#endif
