#include "apiserver/live/latency.h"

#include <string.h>

#include "tests/unit/check.h"

#define BUCKET \
	"certctl_http_request_duration_seconds_bucket{" \
	"method=\"GET\",route=\"/a\",le="

static bool
says(const struct buf *b, const char *line)
{
	return strstr(b->data, line) != NULL;
}

static void
test_buckets(void)
{
	struct latency *l = latency_new(2);
	struct buf b;

	latency_note(l, 1, "GET", "/a", 200, 1000);
	latency_note(l, 1, "GET", "/a", 204, 1001);
	latency_note(l, 1, "GET", "/a", 503, 31000000);
	latency_note(l, 1, "GET", "/a", 200, -5);
	buf_init(&b, 0);
	latency_write(l, &b);
	CHECK(says(&b, BUCKET "\"0.001\"} 2\n"));
	CHECK(says(&b, BUCKET "\"0.0025\"} 3\n"));
	CHECK(says(&b, BUCKET "\"30\"} 3\n"));
	CHECK(says(&b, BUCKET "\"+Inf\"} 4\n"));
	CHECK(
	    says(&b, "_seconds_sum{method=\"GET\",route=\"/a\"} 31.002001\n"));
	CHECK(says(&b, "_seconds_count{method=\"GET\",route=\"/a\"} 4\n"));
	CHECK(says(&b, "{method=\"GET\",route=\"/a\",status=\"2xx\"} 3\n"));
	CHECK(says(&b, "{method=\"GET\",route=\"/a\",status=\"5xx\"} 1\n"));
	CHECK(!says(&b, "4xx"));
	buf_fini(&b);
	latency_free(l);
	latency_free(NULL);
}

static void
test_what_was_not_answered(void)
{
	struct latency *l = latency_new(2);
	struct buf b;

	latency_note(l, 2, "GET", "/b", 0, 7);
	latency_note(l, 0, "-", "-", 404, 7);
	buf_init(&b, 0);
	latency_write(l, &b);
	CHECK(!says(&b, "/b"));
	CHECK(says(&b, "{method=\"-\",route=\"-\",status=\"4xx\"} 1\n"));
	buf_fini(&b);
	latency_free(l);
}

CHECK_MAIN(CHECK_ROW(test_buckets), CHECK_ROW(test_what_was_not_answered))
