#include "apiserver/handlers/discovery/discovery.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/resources/wiretime.h"
#include "common/base/enc.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/discovered.h"

enum {
	FINGERPRINT_LEN = 64,
	WORD_MAX = 50, /* a key's algorithm, a file's format */
	PEM_MAX = DISCOVERED_DER_MAX * 2,
	KEY_SIZE_MAX = 65536
};

/* One entry being read. */
struct entry {
	struct arena *a;
	const struct cJSON *json;
	size_t i;
	struct discovered d;
	const char *path, *format;
	bool has_pem;
	const char *why; /* it is refused, or NULL */
};

static void
refuse(struct entry *e, const char *member, const char *must)
{
	if (e->why == NULL)
		e->why = arena_printf(e->a, "certificates[%zu].%s %s", e->i,
		    member, must);
}

/* Any text, cut and cleaned; "" for none. */
static const char *
read_text(struct entry *e, const char *name, size_t max)
{
	const struct cJSON *item = json_get(e->json, name);

	if (item == NULL || cJSON_IsNull(item))
		return "";
	if (!cJSON_IsString(item)) {
		refuse(e, name, "must be a text");
		return "";
	}
	return discovered_text(e->a, item->valuestring,
	    strlen(item->valuestring), max);
}

static void
read_fingerprint(struct entry *e)
{
	uint8_t bytes[FINGERPRINT_LEN / 2];
	const char *text = "";
	rc ret;

	ret = json_str(e->json, "fingerprint_sha256", FINGERPRINT_LEN, &text);
	if (ret == RC_OK)
		ret = enc_unhex(text, bytes, sizeof(bytes));
	if (ret == RC_OK)
		enc_hex(bytes, sizeof(bytes), e->d.fingerprint_sha256);
	else
		refuse(e, "fingerprint_sha256",
		    "must be the certificate's SHA-256 as 64 hex digits");
}

/* As discovered_read writes them, whoever wrote it. */
static void
read_serial(struct entry *e)
{
	const char *text = "", *digits;
	char *p;
	rc ret;

	ret = json_str(e->json, "serial_number", DISCOVERED_SERIAL_MAX + 1,
	    &text);
	digits = text + (*text == '-');
	if (ret == RC_INVALID || (digits != text && *digits == '\0') ||
	    digits[strspn(digits, "0123456789abcdefABCDEF")] != '\0') {
		refuse(e, "serial_number",
		    "must be of 128 hex digits or fewer");
		return;
	}
	if (*digits == '\0') {
		e->d.serial_number = "";
		return;
	}
	digits += strspn(digits, "0");
	p = arena_printf(e->a, "%s%s", *text == '-' ? "-" : "",
	    *digits ? digits : "0");
	e->d.serial_number = p;
	for (; *p; p++)
		*p |= 0x20; /* letters become lower case, the others stay */
}

/* "" for none, and for the time that stands for none. */
static const char *
read_time(struct entry *e, const char *name)
{
	const char *text = "";
	rc ret = json_str(e->json, name, WIRETIME_SIZE - 1, &text);

	if (ret == RC_INVALID ||
	    (*text != '\0' && !wiretime_is_valid(text, false))) {
		refuse(e, name, "must be a time as RFC 3339 has it");
		return "";
	}
	return strcmp(text, WIRETIME_ZERO) == 0 ? "" : text;
}

/* The first of them, as of a certificate that is read: one that names a
 * thousand hosts must not cost the rest of its report. */
static void
read_sans(struct entry *e)
{
	const struct cJSON *list = json_get(e->json, "sans"), *one;
	const char **sans;

	if (list == NULL || cJSON_IsNull(list))
		return;
	if (!cJSON_IsArray(list)) {
		refuse(e, "sans", "must be a list of texts");
		return;
	}
	sans = arena_alloc(e->a, DISCOVERED_SANS_MAX * sizeof(sans[0]));
	cJSON_ArrayForEach(one, list)
	{
		if (!cJSON_IsString(one)) {
			refuse(e, "sans", "must be a list of texts");
			return;
		}
		if (e->d.nsans == DISCOVERED_SANS_MAX)
			continue;
		sans[e->d.nsans++] = discovered_text(e->a, one->valuestring,
		    strlen(one->valuestring), DISCOVERED_TEXT_MAX);
	}
	e->d.sans = sans;
}

static void
read_numbers(struct entry *e)
{
	int64_t size = 0;
	rc ret;

	ret = json_int(e->json, "key_size", 0, KEY_SIZE_MAX, &size);
	if (ret == RC_INVALID)
		refuse(e, "key_size", "must be a whole number of bits");
	e->d.key_size = (int)size;
	ret = json_bool(e->json, "is_ca", &e->d.is_ca);
	if (ret == RC_INVALID)
		refuse(e, "is_ca", "must be true or false");
}

/* --- the certificate itself --- */

static bool
is_space(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (strchr(" \t\r\n", s.p[i]) == NULL || s.p[i] == '\0')
			return false;
	}
	return true;
}

/* One certificate and nothing else: a file may hold a private key beside it,
 * and that must not come to lie in a database. */
static bool
read_pem(struct arena *a, const char *pem, struct discovered *out)
{
	struct span der, before, rest;
	rc ret;

	ret =
	    pem_find(a, "CERTIFICATE", pem, strlen(pem), &der, &before, &rest);
	if (ret != RC_OK || !is_space(before) || !is_space(rest))
		return false;
	ret = discovered_read(a, der, out);
	return ret == RC_OK;
}

/* What was said takes over where the certificate cannot be read. */
static void
join(struct discovered *d, const struct discovered *own)
{
	memcpy(d->fingerprint_sha256, own->fingerprint_sha256,
	    sizeof(d->fingerprint_sha256));
	d->pem = own->pem;
	d->is_ca = own->is_ca;
	if (*own->serial_number)
		d->serial_number = own->serial_number;
	if (*own->not_before)
		d->not_before = own->not_before;
	if (*own->not_after)
		d->not_after = own->not_after;
	if (*own->key_algorithm) {
		d->key_algorithm = own->key_algorithm;
		d->key_size = own->key_size;
	}
	/* Names have more than one way to be written. */
	if (!*d->common_name)
		d->common_name = own->common_name;
	if (!*d->issuer_dn)
		d->issuer_dn = own->issuer_dn;
	if (!*d->subject_dn)
		d->subject_dn = own->subject_dn;
	if (d->nsans == 0) {
		d->sans = own->sans;
		d->nsans = own->nsans;
	}
}

static void
read_certificate(struct entry *e)
{
	struct discovered own = {.pem = NULL};
	const char *pem = "";
	rc ret = json_str(e->json, "pem_data", PEM_MAX, &pem);

	if (ret == RC_INVALID || (*pem != '\0' && !read_pem(e->a, pem, &own))) {
		refuse(e, "pem_data",
		    "must be one certificate in PEM and nothing else");
		return;
	}
	if (e->why != NULL || *pem == '\0')
		return;
	if (strcmp(own.fingerprint_sha256, e->d.fingerprint_sha256) != 0)
		refuse(e, "fingerprint_sha256", "is not that of its pem_data");
	else if (*e->d.serial_number && *own.serial_number &&
		 strcmp(own.serial_number, e->d.serial_number) != 0)
		refuse(e, "serial_number", "is not that of its pem_data");
	join(&e->d, &own);
	e->has_pem = true;
}

rc
discovery_entry_put(struct arena *a, struct json_w *w,
    const struct cJSON *entry, size_t at_i, const char **out_why)
{
	struct entry e = {.a = a, .json = entry, .i = at_i};
	struct discovered *d = &e.d;

	if (!cJSON_IsObject(entry)) {
		*out_why = arena_printf(a,
		    "certificates[%zu] must be an object", at_i);
		return RC_INVALID;
	}
	read_fingerprint(&e);
	d->common_name = read_text(&e, "common_name", DISCOVERED_TEXT_MAX);
	read_sans(&e);
	read_serial(&e);
	d->issuer_dn = read_text(&e, "issuer_dn", DISCOVERED_TEXT_MAX);
	d->subject_dn = read_text(&e, "subject_dn", DISCOVERED_TEXT_MAX);
	d->not_before = read_time(&e, "not_before");
	d->not_after = read_time(&e, "not_after");
	d->key_algorithm = read_text(&e, "key_algorithm", WORD_MAX);
	read_numbers(&e);
	read_certificate(&e);
	e.path = read_text(&e, "source_path", DISCOVERED_PATH_MAX);
	e.format = read_text(&e, "source_format", WORD_MAX);
	if (e.why != NULL) {
		*out_why = e.why;
		return RC_INVALID;
	}
	discovered_put(w, d, e.path, *e.format ? e.format : "PEM", e.has_pem);
	return RC_OK;
}
