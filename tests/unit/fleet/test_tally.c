#include "deploy/test/loadtest/fleet/tally.h"

#include "common/base/buf.h"
#include "tests/unit/check.h"

static void
test_percentiles_are_samples(void)
{
	struct samples s = {.us = NULL};
	struct quantiles q;

	for (int64_t i = 1000; i >= 1; i--)
		samples_add(&s, i);
	q = samples_quantiles(&s);
	CHECK_INT(q.count, 1000);
	CHECK_INT(q.p50_us, 500);
	CHECK_INT(q.p95_us, 950);
	CHECK_INT(q.p99_us, 990);
	CHECK_INT(q.max_us, 1000);
	samples_add(&s, 5000); /* once sorted it still takes more */
	CHECK_INT(samples_quantiles(&s).max_us, 5000);
	samples_fini(&s);
}

static void
test_few_samples(void)
{
	struct samples s = {.us = NULL};

	CHECK_INT(samples_quantiles(&s).count, 0);
	CHECK_INT(samples_quantiles(&s).max_us, 0);
	samples_add(&s, 7);
	CHECK_INT(samples_quantiles(&s).p50_us, 7);
	CHECK_INT(samples_quantiles(&s).p99_us, 7);
	samples_add(&s, 3);
	CHECK_INT(samples_quantiles(&s).p50_us, 3);
	CHECK_INT(samples_quantiles(&s).p95_us, 7);
	samples_fini(&s);
}

static void
test_a_measure_as_json(void)
{
	struct samples s = {.us = NULL};
	struct json_w w;
	struct buf b;

	samples_add(&s, 1500);
	samples_add(&s, 2500);
	samples_add(&s, 250);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	samples_write(&s, &w, "it", 1, 2);
	CHECK_STR(buf_cstr(&b),
	    "{\"name\":\"it\",\"unit\":\"ms\",\"count\":3,\"rate\":1.500,"
	    "\"p50\":1.500,\"p95\":2.500,\"p99\":2.500,\"max\":2.500,"
	    "\"errors\":1,\"error_rate\":0.250}");
	buf_fini(&b);
	samples_fini(&s);
}

static void
test_counts_by_name(void)
{
	struct counts *c = counts_new();
	struct json_w w;
	struct buf b;

	CHECK_INT(counts_sum(c), 0);
	CHECK_INT(counts_add(c, "work: 503"), 1);
	CHECK_INT(counts_add(c, "csr: no answer"), 1);
	CHECK_INT(counts_add(c, "work: 503"), 2);
	CHECK_INT(counts_of(c, "work: 503"), 2);
	CHECK_INT(counts_of(c, "other"), 0);
	CHECK_INT(counts_sum(c), 3);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	counts_write(c, &w);
	CHECK_STR(buf_cstr(&b), "{\"work: 503\":2,\"csr: no answer\":1}");
	buf_fini(&b);
	counts_free(c);
}

/* One counter, however long what follows. */
static void
test_long_names_are_cut(void)
{
	struct counts *c = counts_new();
	char name[200];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	CHECK_INT(counts_add(c, name), 1);
	name[150] = 'y';
	CHECK_INT(counts_add(c, name), 2);
	counts_free(c);
	counts_free(NULL);
}

CHECK_MAIN(CHECK_ROW(test_percentiles_are_samples), CHECK_ROW(test_few_samples),
    CHECK_ROW(test_a_measure_as_json), CHECK_ROW(test_counts_by_name),
    CHECK_ROW(test_long_names_are_cut))
