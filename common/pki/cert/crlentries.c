#include "common/pki/cert/crlentries.h"

#include <stdlib.h>
#include <string.h>

#include "common/pki/cert/crlscan.h"

#define LACKS_NAMED 5

struct reading {
	struct crlentries *out;
	/* What is revoked here, by serial, each once, and whether it was met.
	 */
	const struct crl_entry **sought;
	bool *is_met;
	size_t nsought;
};

static int
compare(const void *a, const void *b)
{
	return memcmp((*(const struct crl_entry *const *)a)->serial,
	    (*(const struct crl_entry *const *)b)->serial, CRL_SERIAL_BYTES);
}

static void
seek(struct arena *a, struct reading *r, const struct crl_entry *revoked,
    size_t n)
{
	r->sought = arena_alloc(a, (n + 1) * sizeof(const struct crl_entry *));
	r->is_met = arena_alloc(a, n + 1);
	for (size_t i = 0; i < n; i++)
		r->sought[i] = &revoked[i];
	qsort(r->sought, n, sizeof(const struct crl_entry *), compare);
	for (size_t i = 0; i < n; i++) {
		if (r->nsought == 0 ||
		    compare(&r->sought[r->nsought - 1], &r->sought[i]) != 0)
			r->sought[r->nsought++] = r->sought[i];
	}
}

/* False: none that could be ours. */
static bool
read_serial(struct span n, uint8_t out[CRL_SERIAL_BYTES])
{
	if (n.p[0] >= 0x80)
		return false; /* negative */
	if (n.p[0] == 0) {
		n.p++;
		n.len--;
	}
	if (n.len > CRL_SERIAL_BYTES)
		return false;
	memset(out, 0, CRL_SERIAL_BYTES - n.len);
	if (n.len > 0)
		memcpy(out + CRL_SERIAL_BYTES - n.len, n.p, n.len);
	return true;
}

static void
meet(void *arg, const struct crlscan_entry *e)
{
	struct reading *r = arg;
	struct crl_entry one;
	const struct crl_entry *key = &one, **found;

	r->out->n++;
	r->out->has_critical = r->out->has_critical || e->has_critical;
	if (r->nsought == 0 || e->is_removed ||
	    !read_serial(e->serial, one.serial))
		return;
	found = bsearch(&key, r->sought, r->nsought,
	    sizeof(const struct crl_entry *), compare);
	if (found)
		r->is_met[found - r->sought] = true;
}

static void
tell_lacks(struct arena *a, struct reading *r)
{
	const char *named = "";
	size_t n = 0;

	for (size_t i = 0; i < r->nsought; i++) {
		if (r->is_met[i])
			continue;
		if (n < LACKS_NAMED)
			named =
			    arena_printf(a, "%s%s%s", named, n > 0 ? ", " : "",
				crl_serial_text(a, r->sought[i]->serial));
		n++;
	}
	if (n > 0)
		r->out->lacks = arena_printf(a,
		    "%zu of what is revoked here %s not in the CA's list: %s%s",
		    n, n == 1 ? "is" : "are", named,
		    n > LACKS_NAMED ? ", ..." : "");
}

rc
crlentries_read(struct arena *a, struct span entries,
    const struct crl_entry *revoked, size_t nrevoked, struct crlentries *out)
{
	struct reading r = {.out = out};
	rc ret;

	*out = (struct crlentries){0};
	seek(a, &r, revoked, nrevoked);
	ret = crlscan_entries(entries, meet, &r);
	if (ret == RC_OK)
		tell_lacks(a, &r);
	return ret;
}
