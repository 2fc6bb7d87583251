#include "apiserver/live/acmecounts.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/mem.h"

#define PREFIX "certctl_acme_"
#define OF_PROFILE "/profile/{profile}"

/* A route's pattern behind its base, and what it is called. */
static const struct {
	const char *path;
	const char *name;
} operations[] = {
    {"/account/{id}", "account"},
    {"/account/{id}/orders", "orders"},
    {"/authz/{id}", "authz"},
    {"/cert/{id}", "cert"},
    {"/cert/{id}/{chain}", "cert"},
    {"/challenge/{id}", "challenge"},
    {"/directory", "directory"},
    {"/key-change", "key-change"},
    {"/new-account", "new-account"},
    {"/new-nonce", "new-nonce"},
    {"/new-order", "new-order"},
    {"/order/{id}", "order"},
    {"/order/{id}/finalize", "finalize"},
    {"/renewal-info/{certid:certid}", "renewal-info"},
    {"/revoke-cert", "revoke-cert"},
};

enum { NOPERATIONS = ARRAY_LEN(operations), OTHER = NOPERATIONS };

struct acmecounts {
	/* By operation and error; the last ones: other, and success. */
	uint64_t requests[NOPERATIONS + 1][ACME_NERRORS + 1];
	uint64_t nonces;
	uint64_t bad_nonces[ACME_NNONCE_FAULTS];
	uint64_t limits[ACME_NLIMITS];
};

static const char *const errors[] = {
#define PROBLEM(name, type, status) [ACME_##name] = type,
    ACME_PROBLEMS(PROBLEM)
#undef PROBLEM
};

static const char *const limits[] = {
#define COUNT(name, label) [ACME_LIMIT_##name] = label,
    ACME_LIMITS(COUNT)
#undef COUNT
};

static const char *const nonce_faults[] = {
#define COUNT(name, label) [ACME_NONCE_##name] = label,
    ACME_NONCE_FAULTS(COUNT)
#undef COUNT
};

struct acmecounts *
acmecounts_new(void)
{
	return mem_zalloc(sizeof(struct acmecounts));
}

void
acmecounts_free(struct acmecounts *c)
{
	free(c);
}

/* --- counting --- */

static const char *
behind(const char *text, const char *begin)
{
	size_t len = strlen(begin);

	return strncmp(text, begin, len) == 0 ? text + len : text;
}

static size_t
operation_of(const char *pattern)
{
	const char *path;

	if (!pattern)
		return OTHER;
	path = behind(behind(pattern, "/acme"), OF_PROFILE);
	for (size_t i = 0; i < NOPERATIONS; i++) {
		if (strcmp(operations[i].path, path) == 0)
			return i;
	}
	return OTHER;
}

void
acmecounts_note(struct acmecounts *c, const char *pattern,
    enum acme_error error)
{
	if (c)
		c->requests[operation_of(pattern)][error]++;
}

void
acmecounts_note_nonce(struct acmecounts *c)
{
	if (c)
		c->nonces++;
}

void
acmecounts_note_bad_nonce(struct acmecounts *c, enum acme_nonce_fault why)
{
	if (c)
		c->bad_nonces[why]++;
}

void
acmecounts_note_limit(struct acmecounts *c, enum acme_limit which)
{
	if (c)
		c->limits[which]++;
}

/* --- telling --- */

static void
put_head(struct buf *b, const char *name, const char *help)
{
	buf_printf(b, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s counter\n",
	    name, help, name);
}

static void
put_request(struct buf *b, const char *operation, const char *outcome,
    uint64_t n)
{
	buf_printf(b,
	    PREFIX "requests_total{operation=\"%s\",outcome=\"%s\"} %" PRIu64
		   "\n",
	    operation, outcome, n);
}

/* What went well is told from the start, so that a share of it is known; the
 * paths of a certificate are one operation. */
static void
put_operation(struct buf *b, const struct acmecounts *c, size_t first, size_t n,
    const char *name)
{
	uint64_t sum;

	for (size_t e = 0; e <= ACME_NERRORS; e++) {
		sum = 0;
		for (size_t i = first; i < first + n; i++)
			sum += c->requests[i][e];
		if (e == ACME_NERRORS)
			put_request(b, name, "success", sum);
		else if (sum > 0)
			put_request(b, name, errors[e], sum);
	}
}

static void
put_requests(struct buf *b, const struct acmecounts *c)
{
	size_t n;

	put_head(b, "requests_total",
	    "Answers of this apiserver to ACME clients, by what was asked and "
	    "the type of the problem.");
	for (size_t i = 0; i < NOPERATIONS; i += n) {
		n = 1;
		while (i + n < NOPERATIONS &&
		       strcmp(operations[i + n].name, operations[i].name) == 0)
			n++;
		put_operation(b, c, i, n, operations[i].name);
	}
	put_operation(b, c, OTHER, 1, "other");
}

static void
put_labelled(struct buf *b, const char *name, const char *label,
    const char *const *values, const uint64_t *counts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(b, PREFIX "%s{%s=\"%s\"} %" PRIu64 "\n", name, label,
		    values[i], counts[i]);
}

void
acmecounts_write(const struct acmecounts *c, struct buf *out)
{
	put_requests(out, c);
	put_head(out, "nonces_issued_total",
	    "Nonces that this apiserver gave.");
	buf_printf(out, PREFIX "nonces_issued_total %" PRIu64 "\n", c->nonces);
	put_head(out, "nonces_refused_total",
	    "Nonces of requests that this apiserver refused.");
	put_labelled(out, "nonces_refused_total", "reason", nonce_faults,
	    c->bad_nonces, ACME_NNONCE_FAULTS);
	put_head(out, "rate_limited_total",
	    "Requests that a limit refused, by this apiserver.");
	put_labelled(out, "rate_limited_total", "limit", limits, c->limits,
	    ACME_NLIMITS);
}
