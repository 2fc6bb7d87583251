/*
 * A block's hash that was noted elsewhere, against the chain as it is now. With
 * it goes the time when the block was sealed: that alone tells a block that a
 * restore took away from one that was written anew after it.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/audit_verify.h"
#include "cli/out.h"
#include "common/base/clock.h"
#include "common/base/enc.h"

#define US_DIGITS 6
#define US_PER_MS 1000

/* As clock_format_rfc3339 writes it: "...T12:00:00Z", with a fraction or not.
 */
static bool
read_time(const char *text, int64_t *out_us)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t us = 0;
	int digits = 0;

	if (!p)
		return false;
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++, digits++)
			if (digits < US_DIGITS)
				us = us * 10 + (*p - '0');
		for (; digits < US_DIGITS; digits++)
			us *= 10;
	}
	if (strcmp(p, "Z") != 0)
		return false;
	*out_us = (int64_t)timegm(&tm) * 1000000 + us;
	return *out_us > 0;
}

bool
audit_anchor_read(struct arena *a, char *text, struct audit_anchor *out)
{
	char *colon = strchr(text, ':'), *at = strchr(text, '@');
	uint8_t hash[AUDIT_HASH];
	struct audit_anchor an = {0};
	rc ret;

	if (at) {
		if (!read_time(at + 1, &an.sealed_us))
			return false;
		*at = '\0';
	}
	if (!colon || strlen(colon + 1) != (size_t)2 * AUDIT_HASH)
		return false;
	*colon = '\0';
	ret = enc_parse_i64(text, 1, INT64_MAX, &an.n);
	if (ret == RC_OK)
		ret = enc_unhex(colon + 1, hash, AUDIT_HASH);
	if (ret == RC_OK) {
		char *lower = arena_alloc(a, 2 * AUDIT_HASH + 1);

		enc_hex(hash, AUDIT_HASH, lower);
		an.hash = lower;
		*out = an;
	}
	return ret == RC_OK;
}

const char *
audit_anchor_text(const struct audit_verify *v, struct arena *a)
{
	char sealed[32];

	clock_format_rfc3339(v->last_sealed_us, sealed);
	return arena_printf(a, "%" PRId64 ":%s@%s", v->last_n, v->last_hash,
	    sealed);
}

void
audit_anchor_block(struct audit_anchor *an, const struct audit_block *b)
{
	an->is_found = true;
	an->is_other = strcmp(b->hash, an->hash) != 0;
}

void
audit_anchor_recovery(struct audit_anchor *an, struct arena *a,
    const struct audit_row *row, int64_t copy_n)
{
	const char *text = row->fields[AUDIT_ROW_TIMESTAMP_US];
	int64_t at_us;
	char at[32];
	rc ret = enc_parse_i64(text, 1, INT64_MAX, &at_us);

	if (ret != RC_OK || an->n <= copy_n)
		return; /* the copy had it, and so has what was made of it */
	/* Whatever was sealed afterwards must be there; anchors have only
	 * milliseconds. */
	if (an->sealed_us + US_PER_MS > at_us)
		return;
	clock_format_rfc3339(at_us, at);
	if (an->sealed_us == 0)
		an->maybe_gap = arena_strdup(a, at);
	else if (!an->gap)
		an->gap = arena_strdup(a, at);
}

static const char *
fault_text(const struct audit_verify *v, struct arena *a)
{
	const struct audit_anchor *an = &v->anchor;
	const char *hint = "";

	if (an->maybe_gap)
		hint = arena_printf(a,
		    "; or it lay in the gap that the recovery on %s named, "
		    "which is known if the anchor says when it was noted "
		    "(N:HASH@TIME)",
		    an->maybe_gap);
	if (an->is_found)
		return arena_printf(a,
		    "block %" PRId64 ": it is not the one that was noted; the "
		    "chain was written anew%s",
		    an->n, hint);
	return arena_printf(a,
	    "blocks missing: %" PRId64 " to %" PRId64 ", which there were%s",
	    v->last_n + 1, an->n, hint);
}

const char *
audit_anchor_end(const struct audit_verify *v, const char **out_fault)
{
	const struct audit_anchor *an = &v->anchor;

	*out_fault = NULL;
	if (an->n == 0)
		return "none";
	if (an->is_found && !an->is_other)
		return "found";
	if (!an->is_found && an->n <= v->last_n && v->nfaults > 0)
		return "fault"; /* its block is missing, and that is told */
	if (!an->gap) {
		*out_fault = fault_text(v, v->cli->arena);
		return "fault";
	}
	if (!v->cli->as_json)
		out_print("block %" PRId64 ", as it was noted, is gone: it lay "
			  "in the gap that the recovery on %s named\n",
		    an->n, an->gap);
	return "gone";
}
