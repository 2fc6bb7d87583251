#include "apiserver/live/acmecounts.h"

#include <string.h>

#include "tests/unit/check.h"

#define REQUESTS "certctl_acme_requests_total"

static void
check_told(const struct acmecounts *c, const char *line, bool is_there)
{
	struct buf b;

	buf_init(&b, 0);
	acmecounts_write(c, &b);
	if ((strstr(buf_cstr(&b), line) != NULL) != is_there)
		printf("%s in:\n%s", line, buf_cstr(&b));
	CHECK((strstr(buf_cstr(&b), line) != NULL) == is_there);
	buf_fini(&b);
}

/* What went well is told from the start, a problem from its first on. */
static void
test_nothing_yet(void)
{
	struct acmecounts *c = acmecounts_new();

	check_told(c,
	    REQUESTS "{operation=\"finalize\",outcome=\"success\"} 0\n", true);
	check_told(c, "badNonce", false);
	check_told(c, "certctl_acme_nonces_issued_total 0\n", true);
	check_told(c, "certctl_acme_nonces_refused_total{reason=\"used\"} 0\n",
	    true);
	check_told(c, "certctl_acme_rate_limited_total{limit=\"orders\"} 0\n",
	    true);
	acmecounts_free(c);
}

static void
test_requests(void)
{
	struct acmecounts *c = acmecounts_new();

	acmecounts_note(c, "/acme/new-order", ACME_NERRORS);
	acmecounts_note(c, "/acme/profile/{profile}/new-order", ACME_NERRORS);
	acmecounts_note(c, "/acme/profile/{profile}/new-order", ACME_BAD_NONCE);
	acmecounts_note(c, "/acme/cert/{id}", ACME_NERRORS);
	acmecounts_note(c, "/acme/cert/{id}/{chain}", ACME_NERRORS);
	acmecounts_note(c, "/acme/order/{id}/finalize", ACME_BAD_CSR);
	acmecounts_note(c, NULL, ACME_MALFORMED);
	acmecounts_note(c, "/acme/of-a-later-version", ACME_NERRORS);
	check_told(c,
	    REQUESTS "{operation=\"new-order\",outcome=\"success\"} 2\n", true);
	check_told(c,
	    REQUESTS "{operation=\"new-order\",outcome=\"badNonce\"} 1\n",
	    true);
	check_told(c, REQUESTS "{operation=\"cert\",outcome=\"success\"} 2\n",
	    true);
	check_told(c,
	    REQUESTS "{operation=\"finalize\",outcome=\"badCSR\"} 1\n", true);
	check_told(c, REQUESTS "{operation=\"order\",outcome=\"success\"} 0\n",
	    true);
	check_told(c,
	    REQUESTS "{operation=\"other\",outcome=\"malformed\"} 1\n", true);
	check_told(c, REQUESTS "{operation=\"other\",outcome=\"success\"} 1\n",
	    true);
	acmecounts_free(c);
}

static void
test_the_rest(void)
{
	struct acmecounts *c = acmecounts_new();

	acmecounts_note_nonce(c);
	acmecounts_note_bad_nonce(c, ACME_NONCE_USED);
	acmecounts_note_limit(c, ACME_LIMIT_OPEN_ORDERS);
	acmecounts_note_limit(c, ACME_LIMIT_OPEN_ORDERS);
	check_told(c, "certctl_acme_nonces_issued_total 1\n", true);
	check_told(c, "certctl_acme_nonces_refused_total{reason=\"used\"} 1\n",
	    true);
	check_told(c,
	    "certctl_acme_rate_limited_total{limit=\"concurrent_orders\"} 2\n",
	    true);
	acmecounts_free(c);
	/* Where nobody counts. */
	acmecounts_note(NULL, NULL, ACME_MALFORMED);
	acmecounts_note_nonce(NULL);
	acmecounts_note_bad_nonce(NULL, ACME_NONCE_USED);
	acmecounts_note_limit(NULL, ACME_LIMIT_ORDERS);
	acmecounts_free(NULL);
}

CHECK_MAIN(CHECK_ROW(test_nothing_yet), CHECK_ROW(test_requests),
    CHECK_ROW(test_the_rest))
