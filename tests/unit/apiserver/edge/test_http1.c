#include "apiserver/edge/http1.h"
#include "apiserver/edge/http1_chunks.h"

#include "tests/unit/check.h"

static char text[HTTP1_HEAD_MAX + 1024];
static struct http1_head head;
static struct http1_error error;

/* The status that bytes are answered with; 0: accepted, -1: more is to come.
 * head is what was read; all comes at once. */
static int
read_bytes(const char *bytes, size_t len)
{
	struct http1_scan scan = {0};
	size_t n = 0;
	rc ret;

	memcpy(text, bytes, len);
	ret = http1_scan(&scan, text, len, &n, &error);
	if (ret == RC_OK)
		ret = http1_parse(text, n, &head, &error);
	if (ret == RC_BUSY)
		return -1;
	return ret == RC_OK ? 0 : error.status;
}

static int
read_text(const char *bytes)
{
	return read_bytes(bytes, strlen(bytes));
}

/* A request with these fields behind the Host. */
static int
with(const char *fields)
{
	char all[HTTP1_HEAD_MAX];

	(void)snprintf(all, sizeof(all),
	    "POST /x HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
	return read_text(all);
}

/* A request with this first line. */
static int
line(const char *first)
{
	char all[HTTP1_HEAD_MAX];

	(void)snprintf(all, sizeof(all), "%s\r\nHost: h\r\n\r\n", first);
	return read_text(all);
}

/* A request of this target with this Host. */
static int
absolute(const char *target, const char *host)
{
	char all[HTTP1_HEAD_MAX];

	(void)snprintf(all, sizeof(all), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
	    target, host);
	return read_text(all);
}

static void
test_plain(void)
{
	CHECK_INT(read_text("POST /a?b=c HTTP/1.1\r\nHost: a.example:8443\r\n"
			    "Authorization:Bearer x\r\nX-Odd: \t a b \t\r\n"
			    "Empty:\r\nContent-Length: 44\r\n\r\nrest"),
	    0);
	CHECK_STR(head.method, "POST");
	CHECK_STR(head.target, "/a?b=c");
	CHECK_INT(head.nfields, 5);
	CHECK_STR(head.fields[1].name, "Authorization");
	CHECK_STR(head.fields[1].value, "Bearer x");
	CHECK_STR(head.fields[2].value, "a b");
	CHECK_STR(head.fields[3].value, "");
	CHECK_INT(head.framing, HTTP1_LENGTH);
	CHECK_INT(head.length, 44);
	CHECK(!head.must_close && !head.is_1_0 && !head.expects_continue);
}

static void
test_kept_or_closed(void)
{
	CHECK_INT(with("Connection: keep-alive, Close\r\n"), 0);
	CHECK(head.must_close);
	CHECK_INT(with("Connection: closer\r\nConnection: x\r\n"), 0);
	CHECK(!head.must_close);
	CHECK_INT(read_text("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
	    0);
	CHECK(head.is_1_0 && head.must_close);
}

static void
test_versions(void)
{
	CHECK_INT(line("GET / HTTP/1.1"), 0);
	CHECK_INT(line("GET / HTTP/1.0"), 0);
	CHECK_INT(line("GET / HTTP/0.9"), 505);
	CHECK_INT(line("GET / HTTP/1.2"), 505);
	CHECK_INT(line("PRI * HTTP/2.0"), 400); /* "*" is for OPTIONS */
	CHECK_INT(line("GET / HTTP/2.0"), 505);
	CHECK_INT(line("GET / HTTP/-1.1"), 400);
	CHECK_INT(line("GET / HTTP/1.1 "), 400);
	CHECK_INT(line("GET / HTTP/1.10"), 400);
	CHECK_INT(line("GET / HTTP/01.1"), 400);
	CHECK_INT(line("GET / HTTP/1"), 400);
	CHECK_INT(line("GET / http/1.1"), 400);
	CHECK_INT(line("GET / "), 400);
	CHECK_INT(line("GET /"), 400);
}

static void
test_request_lines(void)
{
	CHECK_INT(line("GET  / HTTP/1.1"), 400);
	CHECK_INT(line("GET /  HTTP/1.1"), 400);
	CHECK_INT(line("GET\t/ HTTP/1.1"), 400);
	CHECK_INT(line(" GET / HTTP/1.1"), 400);
	CHECK_INT(line("G(T / HTTP/1.1"), 400);
	CHECK_INT(line("ABCDEFGHIJKLMNOPQ / HTTP/1.1"), 400);
	CHECK_INT(line("GET /a b HTTP/1.1"), 400);
	CHECK_INT(line("GET /a#b HTTP/1.1"), 400);
	CHECK_INT(line("GET /\x80 HTTP/1.1"), 400);
	CHECK_INT(line("GET /\x01 HTTP/1.1"), 400);
	CHECK_INT(line("GET a HTTP/1.1"), 400);
	CHECK_INT(line("CONNECT a:443 HTTP/1.1"), 400);
	CHECK_INT(line("OPTIONS * HTTP/1.1"), 0);
	CHECK_STR(head.target, "*");
	CHECK_INT(line("GET * HTTP/1.1"), 400);
	CHECK_INT(line("purge /a HTTP/1.1"), 0);
	CHECK_STR(head.method, "purge");
	/* One empty line may stand in front, as section 2.2 says. */
	CHECK_INT(line("\r\nGET / HTTP/1.1"), 0);
	CHECK_INT(line("\r\n\r\nGET / HTTP/1.1"), 400);
}

static void
test_absolute_targets(void)
{
	CHECK_INT(absolute("https://a.example:1/b?c", "A.example:1"), 0);
	CHECK_STR(head.target, "/b?c");
	CHECK_INT(absolute("HTTP://[::1]", "[::1]"), 0);
	CHECK_STR(head.target, "/");
	CHECK_INT(absolute("http://a?b=/c", "a"), 0);
	CHECK_STR(head.target, "/?b=/c");
	CHECK_INT(absolute("http://u@a/b", "a"), 400);
	CHECK_INT(absolute("http://u:p@a/b", "a"), 400);
	CHECK_INT(absolute("http:///b", "a"), 400);
	CHECK_INT(absolute("http://", "a"), 400);
	CHECK_INT(absolute("http://a:x/b", "a"), 400);
	CHECK_INT(absolute("http://a:99999/b", "a:99999"), 400);
	CHECK_INT(absolute("ftp://a/b", "a"), 400);
}

/* Of two names for one request neither is believed. */
static void
test_targets_of_another_host(void)
{
	CHECK_INT(absolute("http://a/b", "b"), 400);
	CHECK_INT(absolute("http://a/b", "aa"), 400);
	CHECK_INT(absolute("http://a:1/b", "a"), 400);
	CHECK_INT(absolute("http://a/b", "a:1"), 400);
	CHECK_INT(absolute("http://a./b", "a"), 400);
	CHECK_INT(absolute("http://[::1]/b", "[::2]"), 400);
	/* The scheme's port and none are the same. */
	CHECK_INT(absolute("http://a:80/b", "a"), 0);
	CHECK_INT(absolute("https://a:/b", "a:443"), 0);
	CHECK_INT(absolute("https://a/b", "a:80"), 400);
	CHECK_INT(read_text("GET http://a/b HTTP/1.0\r\n\r\n"), 0);
}

static void
test_hosts(void)
{
	CHECK_INT(read_text("GET / HTTP/1.1\r\n\r\n"), 400);
	CHECK_INT(read_text("GET / HTTP/1.0\r\n\r\n"), 0);
	CHECK_INT(with("Host: h\r\n"), 400);
	CHECK_INT(with("host: other\r\n"), 400);
	CHECK_INT(read_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
	CHECK_INT(read_text("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400);
	CHECK_INT(read_text("GET / HTTP/1.0\r\nHost: u@a\r\n\r\n"), 400);
	CHECK_INT(read_text("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"), 400);
}

static void
test_fields(void)
{
	CHECK_INT(with("Name : x\r\n"), 400);
	CHECK_INT(with(": x\r\n"), 400);
	CHECK_INT(with("No colon\r\n"), 400);
	CHECK_INT(with("A: x\r\n folded\r\n"), 400);
	CHECK_INT(with("A: x\r\n\tfolded\r\n"), 400);
	CHECK_INT(with("A: x\ry\r\n"), 400);
	CHECK_INT(with("A: x\ny\r\n"), 400);
	CHECK_INT(with("A: x\n"), 400);
	CHECK_INT(with("A: \x7f\r\n"), 400);
	CHECK_INT(with("A: \x01\r\n"), 400);
	CHECK_INT(with("A: \xc3\xa9\r\n"), 0);
	CHECK_INT(with("A(: x\r\n"), 400);
	CHECK_INT(with("Authorization: a\r\nauthorization: b\r\n"), 400);
	CHECK_INT(with("Idempotency-Key: a\r\nIdempotency-Key: a\r\n"), 400);
	CHECK_INT(with("X: a\r\nX: b\r\n"), 0);
}

static void
test_nul(void)
{
	static const char value[] = "GET / HTTP/1.1\r\nHost: h\r\n"
				    "Authorization: Bearer KEY\0x\r\n\r\n";
	static const char name[] =
	    "GET / HTTP/1.1\r\nHost: h\r\nA\0: x\r\n\r\n";
	static const char target[] = "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n";
	static const char method[] = "GE\0T / HTTP/1.1\r\nHost: h\r\n\r\n";

	CHECK_INT(read_bytes(value, sizeof(value) - 1), 400);
	CHECK_INT(read_bytes(name, sizeof(name) - 1), 400);
	CHECK_INT(read_bytes(target, sizeof(target) - 1), 400);
	CHECK_INT(read_bytes(method, sizeof(method) - 1), 400);
}

static void
test_lengths(void)
{
	CHECK_INT(with(""), 0);
	CHECK_INT(head.framing, HTTP1_NO_BODY);
	CHECK_INT(with("Content-Length: 0\r\n"), 0);
	CHECK_INT(head.framing, HTTP1_LENGTH);
	CHECK_INT(with("content-length:007\r\n"), 0);
	CHECK_INT(head.length, 7);
	CHECK_INT(with("Content-Length : 5\r\n"), 400);
	CHECK_INT(with("Content-Length: +44\r\n"), 400);
	CHECK_INT(with("Content-Length: -1\r\n"), 400);
	CHECK_INT(with("Content-Length: 4 4\r\n"), 400);
	CHECK_INT(with("Content-Length: 0x4\r\n"), 400);
	CHECK_INT(with("Content-Length: 4.0\r\n"), 400);
	CHECK_INT(with("Content-Length:\r\n"), 400);
	CHECK_INT(with("Content-Length: 5, 5\r\n"), 400);
	CHECK_INT(with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
	CHECK_INT(with("Content-Length: 5\r\nContent-Length: 6\r\n"), 400);
	CHECK_INT(with("Content-Length: 999999999999999999\r\n"), 0);
	CHECK_INT(with("Content-Length: 18446744073709551617\r\n"), 413);
}

static void
test_codings(void)
{
	CHECK_INT(with("Transfer-Encoding: chunked\r\n"), 0);
	CHECK_INT(head.framing, HTTP1_CHUNKED);
	CHECK_INT(with("Transfer-Encoding: Chunked\r\n"), 0);
	CHECK_INT(with("Transfer-Encoding: xchunked\r\n"), 501);
	CHECK_INT(with("Transfer-Encoding: identity\r\n"), 501);
	CHECK_INT(with("Transfer-Encoding: gzip, chunked\r\n"), 501);
	CHECK_INT(with("Transfer-Encoding: chunked, chunked\r\n"), 501);
	CHECK_INT(with("Transfer-Encoding: chunked;a=b\r\n"), 501);
	CHECK_INT(with("Transfer-Encoding: \"chunked\"\r\n"), 501);
	CHECK_INT(with("Transfer-Encoding:\r\n"), 501);
	CHECK_INT(with("Transfer-Encoding: \x0b"
		       "chunked\r\n"),
	    400);
	CHECK_INT(with("Transfer-Encoding : chunked\r\n"), 400);
	CHECK_INT(with("Transfer-Encoding: chunked\r\n"
		       "Transfer-Encoding: chunked\r\n"),
	    400);
	CHECK_INT(with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
	    400);
	CHECK_INT(read_text("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"
			    "\r\n"),
	    400);
}

static void
test_expectations(void)
{
	CHECK_INT(with("Expect: 100-Continue\r\n"), 0);
	CHECK(head.expects_continue);
	CHECK_INT(with("Expect: 200-ok\r\n"), 417);
	CHECK_INT(read_text("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"),
	    0);
	CHECK(!head.expects_continue);
}

static void
test_limits(void)
{
	static char big[HTTP1_HEAD_MAX + 512];
	size_t n;

	n = (size_t)snprintf(big, sizeof(big),
	    "GET /%0*d HTTP/1.1\r\nHost: h\r\n\r\n", HTTP1_TARGET_MAX - 1, 0);
	CHECK_INT(read_bytes(big, n), 0);
	n = (size_t)snprintf(big, sizeof(big),
	    "GET /%0*d HTTP/1.1\r\nHost: h\r\n\r\n", HTTP1_TARGET_MAX, 0);
	CHECK_INT(read_bytes(big, n), 414);
	n = (size_t)snprintf(big, sizeof(big), "GET /%0*d", HTTP1_HEAD_MAX, 0);
	CHECK_INT(read_bytes(big, n), 414);
	n = (size_t)snprintf(big, sizeof(big),
	    "GET / HTTP/1.1\r\nHost: h\r\nA: %0*d\r\n\r\n", HTTP1_HEAD_MAX, 0);
	CHECK_INT(read_bytes(big, n), 431);
	n = (size_t)snprintf(big, sizeof(big), "GET / HTTP/1.1\r\nHost: h\r\n");
	for (int i = 1; i < HTTP1_FIELDS_MAX; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "A: b\r\n");
	(void)snprintf(big + n, sizeof(big) - n, "\r\n");
	CHECK_INT(read_text(big), 0);
	(void)snprintf(big + n, sizeof(big) - n, "A: b\r\n\r\n");
	CHECK_INT(read_text(big), 431);
}

/* A head that comes byte by byte is looked at once and ends where it ends. */
static void
test_byte_by_byte(void)
{
	static const char request[] = "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nG";
	struct http1_scan scan = {0};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(request) - 2; i++) {
		CHECK_INT(http1_scan(&scan, request, i, &n, &error), RC_BUSY);
		CHECK_INT(scan.at, i);
	}
	CHECK_INT(http1_scan(&scan, request, sizeof(request) - 2, &n, &error),
	    RC_OK);
	CHECK_INT(n, sizeof(request) - 2);
}

/* --- chunked bodies --- */

static char body[256];

/* Takes all in pieces of at most step bytes: the status, 0: complete, -1:
 * more is to come.  body holds what came out. */
static int
chunks(const char *bytes, size_t step, uint64_t max, size_t *out_used)
{
	size_t len = strlen(bytes), at = 0, used, n, nbody = 0;
	struct http1_chunks c;
	const char *data;
	rc ret = RC_BUSY;

	http1_chunks_init(&c, max);
	while (ret == RC_BUSY && at < len) {
		ret = http1_chunks_take(&c, bytes + at,
		    len - at < step ? len - at : step, &used, &data, &n,
		    &error);
		if (ret == RC_INVALID)
			return error.status;
		memcpy(body + nbody, data, n);
		nbody += n;
		at += used;
	}
	body[nbody] = '\0';
	*out_used = at;
	return ret == RC_OK ? 0 : -1;
}

static int
chunked(const char *bytes)
{
	size_t used = 0, again = 0;
	int whole = chunks(bytes, SIZE_MAX, 100, &used);
	int split = chunks(bytes, 1, 100, &again);

	return whole == split && (whole > 0 || used == again) ? whole : -2;
}

static void
test_chunks(void)
{
	size_t used;

	CHECK_INT(chunked("3\r\nabc\r\n0002\r\nde\r\n0\r\n\r\n"), 0);
	CHECK_STR(body, "abcde");
	CHECK_INT(chunked("A\r\n0123456789\r\n0\r\n\r\n"), 0);
	CHECK_STR(body, "0123456789");
	CHECK_INT(chunked("0\r\n\r\n"), 0);
	CHECK_STR(body, "");
	CHECK_INT(chunked("0\r\nTrailer: x\r\nB:\r\n\r\n"), 0);
	CHECK_INT(chunked("3\r\nabc\r\n0\r\n"), -1);
	CHECK_INT(chunks("1\r\na\r\n0\r\n\r\nGET /", SIZE_MAX, 9, &used), 0);
	CHECK_INT(used, 11);
}

static void
test_chunk_extensions(void)
{
	CHECK_INT(chunked("3;a\r\nabc\r\n0\r\n\r\n"), 0);
	CHECK_INT(chunked("3;a=b;c=\"d;\\\"\r\"\r\nabc\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("3;a=b;c=\"d;\\\" e\"\r\nabc\r\n0;z\r\n\r\n"), 0);
	CHECK_STR(body, "abc");
	CHECK_INT(chunked("3 ; a = b ;c\r\nabc\r\n0\r\n\r\n"), 0);
	CHECK_INT(chunked("3;\r\nabc\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("3;a=\r\nabc\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("3;a \r\nabc\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("3;a\nabc\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("3 \r\nabc\r\n0\r\n\r\n"), 400);
}

static void
test_bad_chunks(void)
{
	CHECK_INT(chunked("0x2\r\nab\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("+2\r\nab\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked(" 2\r\nab\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("-2\r\nab\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("\r\n"), 400);
	CHECK_INT(chunked("2\nab\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("2\r\nabc\r\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("2\r\nab\n0\r\n\r\n"), 400);
	CHECK_INT(chunked("2\r\nab0\r\n\r\n"), 400);
	CHECK_INT(chunked("0\r\nA : x\r\n\r\n"), 400);
	CHECK_INT(chunked("0\r\n folded\r\n\r\n"), 400);
	CHECK_INT(chunked("0\r\nA: x\ny\r\n\r\n"), 400);
	CHECK_INT(chunked("0\r\n\n"), 400);
	CHECK_INT(chunked("00000000000000000\r\n\r\n"), 400);
	CHECK_INT(chunked("ffffffffffffffff\r\n"), 413);
}

static void
test_chunk_limits(void)
{
	static char big[HTTP1_CHUNKS_EXTRA_MAX + 64];
	size_t used;

	CHECK_INT(chunks("3\r\nabc\r\n0\r\n\r\n", 99, 3, &used), 0);
	CHECK_INT(chunks("4\r\nabcd\r\n0\r\n\r\n", 99, 3, &used), 413);
	CHECK_INT(chunks("2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", 99, 3, &used), 413);
	(void)snprintf(big, sizeof(big), "1;%0*d\r\na\r\n0\r\n\r\n",
	    HTTP1_CHUNKS_EXTRA_MAX - 16, 0);
	CHECK_INT(chunked(big), 0);
	(void)snprintf(big, sizeof(big), "0;%0*d\r\n\r\n",
	    HTTP1_CHUNKS_EXTRA_MAX + 1, 0);
	CHECK_INT(chunked(big), 400);
	(void)snprintf(big, sizeof(big), "0\r\nA: %0*d\r\n\r\n",
	    HTTP1_CHUNKS_EXTRA_MAX, 0);
	CHECK_INT(chunked(big), 400);
}

CHECK_MAIN(CHECK_ROW(test_plain), CHECK_ROW(test_kept_or_closed),
    CHECK_ROW(test_versions), CHECK_ROW(test_request_lines),
    CHECK_ROW(test_absolute_targets), CHECK_ROW(test_targets_of_another_host),
    CHECK_ROW(test_hosts), CHECK_ROW(test_fields), CHECK_ROW(test_nul),
    CHECK_ROW(test_lengths), CHECK_ROW(test_codings),
    CHECK_ROW(test_expectations), CHECK_ROW(test_limits),
    CHECK_ROW(test_byte_by_byte), CHECK_ROW(test_chunks),
    CHECK_ROW(test_chunk_extensions), CHECK_ROW(test_bad_chunks),
    CHECK_ROW(test_chunk_limits))
