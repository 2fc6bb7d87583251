#include "common/http/sigv4.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/enc.h"
#include "common/base/mem.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define HASH 32 /* bytes of SHA-256 */

/* --- headers --- */

struct line { /* of a header, as it is signed */
	const char *name, *value;
	size_t at; /* its place among those that were given */
};

struct lines {
	struct line all[SIGV4_HEADERS_MAX + 2];
	size_t n;
};

static const char *
lower(struct arena *a, const char *name)
{
	char *text = arena_strdup(a, name);

	for (char *c = text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return text;
}

/* Without white space around it, and with one space where there is some. */
static const char *
trimmed(struct arena *a, const char *value)
{
	char *text = arena_strdup(a, value), *to = text;

	for (const char *c = value; *c; c++) {
		if (*c != ' ' && *c != '\t')
			*to++ = *c;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
	return text;
}

static void
add(struct arena *a, struct lines *lines, const char *name, const char *value)
{
	assert(lines->n < SIGV4_HEADERS_MAX + 2);
	lines->all[lines->n] =
	    (struct line){lower(a, name), trimmed(a, value), lines->n};
	lines->n++;
}

static int
by_name(const void *left, const void *right)
{
	const struct line *l = left, *r = right;
	int order = strcmp(l->name, r->name);

	if (order != 0)
		return order;
	return l->at < r->at ? -1 : 1; /* qsort need not keep the order */
}

/* Those of one name become one, with commas. */
static void
join(struct arena *a, struct lines *lines)
{
	size_t n = 0;

	for (size_t i = 0; i < lines->n; i++) {
		struct line *last = n > 0 ? &lines->all[n - 1] : NULL;

		if (last && strcmp(last->name, lines->all[i].name) == 0)
			last->value = arena_printf(a, "%s,%s", last->value,
			    lines->all[i].value);
		else
			lines->all[n++] = lines->all[i];
	}
	lines->n = n;
}

static const char *
names(struct arena *a, const struct lines *lines)
{
	const char *text = lines->all[0].name;

	for (size_t i = 1; i < lines->n; i++)
		text = arena_printf(a, "%s;%s", text, lines->all[i].name);
	return text;
}

/* --- what is signed --- */

/* The hash of the canonical request. */
static void
hash_request(struct arena *a, const char *method, const struct lines *lines,
    const void *body, size_t len, char out[2 * HASH + 1])
{
	char payload[2 * HASH + 1];
	struct buf b;

	enc_sha256_hex(len > 0 ? body : "", len, payload);
	buf_init(&b, 0);
	buf_printf(&b, "%s\n/\n\n", method);
	for (size_t i = 0; i < lines->n; i++)
		buf_printf(&b, "%s:%s\n", lines->all[i].name,
		    lines->all[i].value);
	buf_printf(&b, "\n%s\n%s", names(a, lines), payload);
	enc_sha256_hex(buf_cstr(&b), b.len, out);
	buf_fini(&b);
}

static void
mac(uint8_t key[HASH], const char *text)
{
	uint8_t next[HASH];

	enc_hmac_sha256(key, HASH, text, strlen(text), next);
	memcpy(key, next, HASH);
	mem_wipe(next, sizeof(next));
}

static const char *
sign(struct arena *a, const struct sigv4_key *key, const char *day,
    const char *text)
{
	char *first = arena_printf(a, "AWS4%s", key->secret_access_key);
	uint8_t k[HASH];
	char hex[2 * HASH + 1];

	enc_hmac_sha256(first, strlen(first), day, strlen(day), k);
	mem_wipe(first, strlen(first));
	mac(k, key->region);
	mac(k, key->service);
	mac(k, "aws4_request");
	mac(k, text);
	enc_hex(k, sizeof(k), hex);
	return arena_strdup(a, hex);
}

void
sigv4_sign(struct arena *a, const struct sigv4_key *key, const char *method,
    const struct http_header *headers, const void *body, size_t len,
    int64_t now_unix, struct sigv4_signed *out)
{
	time_t now = (time_t)now_unix;
	struct lines lines = {.n = 0};
	const char *day, *scope;
	char date[32], hash[2 * HASH + 1];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	for (; headers->name; headers++)
		add(a, &lines, headers->name, headers->value);
	add(a, &lines, "x-amz-date", date);
	if (key->session_token[0] != '\0')
		add(a, &lines, "x-amz-security-token", key->session_token);
	qsort(lines.all, lines.n, sizeof(lines.all[0]), by_name);
	join(a, &lines);
	hash_request(a, method, &lines, body, len, hash);
	day = arena_strndup(a, date, strlen("20150830"));
	scope = arena_printf(a, "%s/%s/%s/aws4_request", day, key->region,
	    key->service);
	out->date = arena_strdup(a, date);
	out->authorization = arena_printf(a,
	    ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
	    key->access_key_id, scope, names(a, &lines),
	    sign(a, key, day,
		arena_printf(a, ALGORITHM "\n%s\n%s\n%s", date, scope, hash)));
}
