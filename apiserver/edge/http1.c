#include "apiserver/edge/http1.h"

#include <string.h>
#include <strings.h>

#include "apiserver/edge/authority.h"
#include "common/base/text.h"

enum {
	LENGTH_DIGITS = 18, /* fits 64 bits */
};

/* What is left of a head.  It ends in CR LF, and no class of characters
 * contains CR, so skipping a class never leaves the head. */
struct reader {
	char *p;
	char *end;
	struct http1_error *error;
	struct authority authority; /* of an absolute target */
	unsigned scheme_port;       /* of that; 0: the target is a path */
};

rc
http1_refuse(struct http1_error *e, int status, const char *why)
{
	*e = (struct http1_error){status, why};
	return RC_INVALID;
}

bool
http1_is_token_char(char c)
{
	/* Letters, digits and !#$%&'*+-.^_`|~ as bits. */
	static const uint32_t is_token[4] = {0, 0x03ff6cfa, 0xc7fffffe,
	    0x57ffffff};
	unsigned u = (unsigned char)c;

	return u < 128 && (is_token[u >> 5] >> (u & 31) & 1) != 0;
}

bool
http1_is_value_char(char c)
{
	unsigned u = (unsigned char)c;

	return (u >= ' ' && u != 0x7f) || u == '\t';
}

/* --- where it ends --- */

rc
http1_scan(struct http1_scan *s, const char *bytes, size_t len, size_t *out_len,
    struct http1_error *out_error)
{
	size_t seen = len < HTTP1_HEAD_MAX ? len : HTTP1_HEAD_MAX;
	const char *nl;
	size_t at;

	while (
	    s->at < seen && (nl = memchr(bytes + s->at, '\n', seen - s->at))) {
		at = (size_t)(nl - bytes);
		if (at == s->line || bytes[at - 1] != '\r')
			return http1_refuse(out_error, 400,
			    "a line does not end in CR LF");
		/* One empty line may stand before a request (section 2.2). */
		if (at == s->line + 1 && s->line > 0) {
			*out_len = at + 1;
			return RC_OK;
		}
		s->has_line = s->has_line || at > s->line + 1;
		s->at = s->line = at + 1;
	}
	s->at = seen;
	if (len < HTTP1_HEAD_MAX)
		return RC_BUSY;
	return s->has_line
		   ? http1_refuse(out_error, 431, "the headers are too large")
		   : http1_refuse(out_error, 414,
			 "the request target is too long");
}

/* --- the first line --- */

/* The origin form that an absolute one contains; scheme: "https://". */
static rc
strip_authority(struct reader *r, char *target, const char *scheme,
    unsigned port, struct http1_head *out)
{
	char *rest = target + strlen(scheme);
	size_t len = strcspn(rest, "/?");

	/* One to the left, where the scheme was: then there is room for the
	 * "/" that a target may leave away. */
	memmove(rest - 1, rest, len);
	if (!authority_read(rest - 1, len, &r->authority))
		return http1_refuse(r->error, 400,
		    "the request target names no valid host");
	r->scheme_port = port;
	out->target = rest + len;
	if (*out->target != '/')
		*--out->target = '/';
	return RC_OK;
}

static rc
read_target(struct reader *r, struct http1_head *out)
{
	char *target = r->p;

	while (*r->p > ' ' && *r->p < 0x7f && *r->p != '#')
		r->p++;
	if (r->p - target > HTTP1_TARGET_MAX)
		return http1_refuse(r->error, 414,
		    "the request target is too long");
	if (*r->p != ' ' || r->p == target)
		return http1_refuse(r->error, 400,
		    "the request target is malformed");
	*r->p++ = '\0';
	out->target = target;
	if (*target == '/' ||
	    (strcmp(target, "*") == 0 && strcmp(out->method, "OPTIONS") == 0))
		return RC_OK;
	if (strncasecmp(target, "https://", 8) == 0)
		return strip_authority(r, target, "https://", 443, out);
	if (strncasecmp(target, "http://", 7) == 0)
		return strip_authority(r, target, "http://", 80, out);
	return http1_refuse(r->error, 400, "the request target is no path");
}

static rc
read_version(struct reader *r, struct http1_head *out)
{
	const char *v = r->p;

	/* At least "\r\n\r\n" is left, so that no comparison passes the end. */
	if (strncmp(v, "HTTP/", 5) != 0 || !text_is_digit(v[5]) ||
	    v[6] != '.' || !text_is_digit(v[7]) || v[8] != '\r' || v[9] != '\n')
		return http1_refuse(r->error, 400,
		    "the request line has no HTTP version");
	if (v[5] != '1' || v[7] > '1')
		return http1_refuse(r->error, 505,
		    "only HTTP/1.1 and HTTP/1.0 are spoken here");
	out->is_1_0 = v[7] == '0';
	out->must_close = out->is_1_0;
	r->p += 10;
	return RC_OK;
}

static rc
read_request_line(struct reader *r, struct http1_head *out)
{
	rc ret;

	out->method = r->p;
	while (http1_is_token_char(*r->p))
		r->p++;
	if (*r->p != ' ' || r->p == out->method ||
	    r->p - out->method > HTTP1_METHOD_MAX)
		return http1_refuse(r->error, 400,
		    "the request line is malformed");
	*r->p++ = '\0';
	ret = read_target(r, out);
	return ret == RC_OK ? read_version(r, out) : ret;
}

/* --- fields --- */

static rc
read_length(struct reader *r, const char *value, struct http1_head *out)
{
	size_t n = 0;

	out->length = 0;
	for (; n <= LENGTH_DIGITS && text_is_digit(value[n]); n++)
		out->length = out->length * 10 + (uint64_t)(value[n] - '0');
	if (n == 0 || (value[n] != '\0' && !text_is_digit(value[n])))
		return http1_refuse(r->error, 400,
		    "Content-Length is not a number");
	if (n > LENGTH_DIGITS)
		return http1_refuse(r->error, 413,
		    "the request body is too large");
	return RC_OK;
}

/* Whether a list of tokens, as Connection has it, contains word. */
static bool
list_has(const char *list, const char *word)
{
	size_t len = strlen(word), n;

	while (*list) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len && strncasecmp(list, word, len) == 0)
			return true;
		list += n;
	}
	return false;
}

/* Of these a second one would make two readings. */
static const char *const singles[] = {"Host", "Content-Length",
    "Transfer-Encoding", "Authorization", "Content-Type", "Expect",
    "Idempotency-Key"};
enum { HOST, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT = 5 };

struct known {
	const char *value[ARRAY_LEN(singles)]; /* NULL: not there */
};

static rc
note_field(struct reader *r, const struct http1_field *f, struct known *k,
    struct http1_head *out)
{
	for (size_t i = 0; i < ARRAY_LEN(singles); i++) {
		if (strcasecmp(f->name, singles[i]) != 0)
			continue;
		if (k->value[i])
			return http1_refuse(r->error, 400,
			    "a header stands there twice");
		k->value[i] = f->value;
		return RC_OK;
	}
	if (strcasecmp(f->name, "Connection") == 0 &&
	    list_has(f->value, "close"))
		out->must_close = true;
	return RC_OK;
}

static rc
read_field(struct reader *r, struct http1_field *out)
{
	char *end;

	out->name = r->p;
	while (http1_is_token_char(*r->p))
		r->p++;
	if (*r->p != ':' || r->p == out->name)
		return http1_refuse(r->error, 400,
		    "a header has no valid name");
	*r->p++ = '\0';
	while (*r->p == ' ' || *r->p == '\t')
		r->p++;
	out->value = end = r->p;
	while (http1_is_value_char(*r->p)) {
		r->p++;
		if (r->p[-1] != ' ' && r->p[-1] != '\t')
			end = r->p;
	}
	if (r->p[0] != '\r' || r->p[1] != '\n')
		return http1_refuse(r->error, 400,
		    "a header's value has a control character");
	r->p += 2;
	*end = '\0';
	return RC_OK;
}

static rc
read_fields(struct reader *r, struct known *k, struct http1_head *out)
{
	struct http1_field *f;
	rc ret;

	while (r->p + 2 < r->end) {
		if (out->nfields == HTTP1_FIELDS_MAX)
			return http1_refuse(r->error, 431,
			    "there are too many headers");
		f = &out->fields[out->nfields];
		ret = read_field(r, f);
		if (ret == RC_OK)
			ret = note_field(r, f, k, out);
		if (ret != RC_OK)
			return ret;
		out->nfields++;
	}
	return RC_OK;
}

/* --- what the fields mean for the framing --- */

static rc
check_host(struct reader *r, const struct known *k,
    const struct http1_head *out)
{
	const char *text = k->value[HOST];
	struct authority host;

	if (!text && out->is_1_0)
		return RC_OK;
	if (!text || !authority_read(text, strlen(text), &host))
		return http1_refuse(r->error, 400,
		    "Host is missing or malformed");
	/* RFC 9112 section 3.2.2 lets the target win; whoever sends two is
	 * believed neither. */
	if (r->scheme_port != 0 &&
	    !authority_is_same(&r->authority, &host, r->scheme_port))
		return http1_refuse(r->error, 400,
		    "Host and the request target name different hosts");
	return RC_OK;
}

static rc
read_framing(struct reader *r, const struct known *k, struct http1_head *out)
{
	const char *length = k->value[CONTENT_LENGTH];
	const char *coding = k->value[TRANSFER_ENCODING];
	const char *expect = k->value[EXPECT];

	if (coding && (length || out->is_1_0))
		return http1_refuse(r->error, 400,
		    "Transfer-Encoding may not stand here");
	if (coding && strcasecmp(coding, "chunked") != 0)
		return http1_refuse(r->error, 501,
		    "the only transfer coding known here is chunked");
	if (expect && strcasecmp(expect, "100-continue") != 0)
		return http1_refuse(r->error, 417,
		    "the only expectation known here is 100-continue");
	out->expects_continue = expect && !out->is_1_0;
	if (coding)
		out->framing = HTTP1_CHUNKED;
	if (!length)
		return RC_OK;
	out->framing = HTTP1_LENGTH;
	return read_length(r, length, out);
}

rc
http1_parse(char *head, size_t len, struct http1_head *out,
    struct http1_error *out_error)
{
	struct reader r = {.p = head, .end = head + len, .error = out_error};
	struct known known = {0};
	rc ret;

	*out = (struct http1_head){0};
	if (len < 4 || memcmp(r.end - 4, "\r\n\r\n", 4) != 0)
		return http1_refuse(out_error, 400, "the head has no end");
	if (memcmp(head, "\r\n", 2) == 0)
		r.p += 2;
	ret = read_request_line(&r, out);
	if (ret == RC_OK)
		ret = read_fields(&r, &known, out);
	if (ret == RC_OK)
		ret = check_host(&r, &known, out);
	if (ret == RC_OK)
		ret = read_framing(&r, &known, out);
	return ret;
}
