/*
 * fuzz_http1: requests as bytes: a head, and a chunked body where it says so.
 *
 * However the bytes are split, the same is read; what is accepted holds
 * nothing that another reader could take for a second line or field; and
 * written anew it reads the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apiserver/edge/authority.h"
#include "apiserver/edge/http1.h"
#include "apiserver/edge/http1_chunks.h"
#include "common/base/buf.h"
#include "common/base/mem.h"

enum { BODY_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scanned {
	rc ret;
	size_t len;
	struct http1_error error;
};

static struct scanned
scan(const char *bytes, size_t size, size_t step)
{
	struct scanned s = {.ret = RC_BUSY};
	struct http1_scan at = {0};

	for (size_t n = 0; s.ret == RC_BUSY && n < size;) {
		n = size - n < step ? size : n + step;
		s.ret = http1_scan(&at, bytes, n, &s.len, &s.error);
	}
	return s;
}

struct decoded {
	rc ret;
	int status;
	size_t used;
	struct buf body;
};

static void
decode(const char *bytes, size_t size, size_t step, struct decoded *d)
{
	struct http1_error error = {0};
	struct http1_chunks c;
	const char *data;
	size_t n, used;

	*d = (struct decoded){.ret = RC_BUSY};
	buf_init(&d->body, BODY_MAX + 1);
	http1_chunks_init(&c, BODY_MAX);
	while (d->ret == RC_BUSY && d->used < size) {
		n = size - d->used < step ? size - d->used : step;
		d->ret = http1_chunks_take(&c, bytes + d->used, n, &used, &data,
		    &n, &error);
		if (d->ret == RC_INVALID)
			break;
		buf_add(&d->body, data, n);
		d->used += used;
	}
	d->status = error.status;
	if (!buf_ok(&d->body) || d->body.len > BODY_MAX)
		abort();
}

static void
check_body(const char *bytes, size_t size)
{
	struct decoded whole, split;

	decode(bytes, size, SIZE_MAX, &whole);
	decode(bytes, size, 1, &split);
	if (whole.ret != split.ret || whole.status != split.status)
		abort();
	if (whole.ret == RC_OK &&
	    (whole.used != split.used || whole.body.len != split.body.len ||
		memcmp(buf_cstr(&whole.body), buf_cstr(&split.body),
		    whole.body.len) != 0))
		abort();
	buf_fini(&whole.body);
	buf_fini(&split.body);
}

/* What is accepted as a host is read as one by the strictest there is. */
static void
check_host(const char *value)
{
	struct authority a;

	if (!authority_read(value, strlen(value), &a) || a.port > 65535 ||
	    a.len == 0 || strpbrk(value, " @/?#%,\\\""))
		abort();
}

static void
check_field(const struct http1_field *f, int *hosts, int *framings)
{
	if (!*f->name || strpbrk(f->name, " \t\r\n:") ||
	    strpbrk(f->value, "\r\n") || *f->value == ' ' || *f->value == '\t')
		abort();
	if (strcasecmp(f->name, "Host") == 0) {
		check_host(f->value);
		(*hosts)++;
	}
	if (strcasecmp(f->name, "Content-Length") == 0 ||
	    strcasecmp(f->name, "Transfer-Encoding") == 0)
		(*framings)++;
}

static void
check_again(const struct http1_head *h)
{
	struct http1_error error;
	struct http1_head again;
	struct buf b;
	rc ret;

	buf_init(&b, 4 * HTTP1_HEAD_MAX);
	buf_printf(&b, "%s %s HTTP/1.%d\r\n", h->method, h->target,
	    h->is_1_0 ? 0 : 1);
	for (size_t i = 0; i < h->nfields; i++)
		buf_printf(&b, "%s: %s\r\n", h->fields[i].name,
		    h->fields[i].value);
	buf_puts(&b, "\r\n");
	ret = http1_parse(b.data, b.len, &again, &error);
	if (ret != RC_OK || strcmp(again.method, h->method) != 0 ||
	    strcmp(again.target, h->target) != 0 ||
	    again.nfields != h->nfields || again.framing != h->framing ||
	    again.length != h->length || again.must_close != h->must_close)
		abort();
	for (size_t i = 0; i < h->nfields; i++) {
		if (strcmp(again.fields[i].value, h->fields[i].value) != 0)
			abort();
	}
	buf_fini(&b);
}

static void
check_head(const struct http1_head *h)
{
	int hosts = 0, framings = 0;

	if (!*h->method || (*h->target != '/' && strcmp(h->target, "*") != 0) ||
	    strpbrk(h->target, " \t\r\n#"))
		abort();
	for (size_t i = 0; i < h->nfields; i++)
		check_field(&h->fields[i], &hosts, &framings);
	if (hosts > 1 || (hosts == 0 && !h->is_1_0) || framings > 1 ||
	    (framings == 0) != (h->framing == HTTP1_NO_BODY))
		abort();
	check_again(h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct scanned whole = scan(bytes, size, SIZE_MAX);
	struct scanned split = scan(bytes, size, 1);
	struct http1_error error;
	struct http1_head head;
	char *copy;
	rc ret;

	if (whole.ret != split.ret || whole.len != split.len ||
	    whole.error.status != split.error.status)
		abort();
	if (whole.ret != RC_OK) {
		check_body(bytes, size);
		return 0;
	}
	copy = mem_zalloc(whole.len + 1);
	memcpy(copy, bytes, whole.len);
	ret = http1_parse(copy, whole.len, &head, &error);
	if (ret == RC_OK) {
		check_head(&head);
		if (head.framing == HTTP1_CHUNKED)
			check_body(bytes + whole.len, size - whole.len);
	}
	free(copy);
	return 0;
}
