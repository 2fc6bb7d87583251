#include "worker/issuers/journal_leaf.h"

#include <openssl/x509.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/cert/cert.h"

/* Whether these are the bytes that the line's hash and serial are of. */
static bool
is_of_line(X509 *x, const struct cert_info *info,
    const struct journal_line *line)
{
	unsigned char *tbs = NULL;
	int len = i2d_re_X509_tbs(x, &tbs);
	char hash[65] = "";

	if (len > 0)
		enc_sha256_hex(tbs, (size_t)len, hash);
	OPENSSL_free(tbs);
	return strcmp(hash, line->tbs_sha256_hex) == 0 &&
	       strcmp(info->serial_hex, line->serial_hex) == 0;
}

static rc
read_leaf(struct arena *a, const uint8_t *der, size_t len,
    const struct journal_line *line, struct cert_info *out)
{
	const unsigned char *p = der;
	X509 *x = d2i_X509(NULL, &p, (long)len);
	rc ret;

	if (!x)
		return RC_INVALID;
	ret = cert_read(a, x, out);
	if (ret == RC_OK && !is_of_line(x, out, line))
		ret = RC_INVALID;
	X509_free(x);
	return ret;
}

static rc
write_leaf(struct arena *a, const struct journal_line *line,
    const struct cert_info *info, const char *pem, const char *row,
    const char **out)
{
	struct json_w w;
	struct buf b;
	rc ret;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "pem", pem);
	json_w_kv(&w, "fingerprint", info->fingerprint_sha256);
	json_w_kv(&w, "algorithm", info->key_algorithm);
	json_w_kv_int(&w, "size", info->key_size);
	json_w_kv_int(&w, "from", info->not_before_unix);
	json_w_kv_int(&w, "to", info->not_after_unix);
	json_w_kv(&w, "agent", line->agent_id);
	json_w_kv(&w, "ca", line->ca_sha256_hex);
	json_w_kv_raw(&w, "row", row);
	json_w_close(&w, '}');
	ret = buf_ok(&b) ? RC_OK : RC_TOO_LARGE;
	if (ret == RC_OK)
		*out = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return ret;
}

rc
journal_leaf_json(struct arena *a, const struct journal_line *line,
    const char **out)
{
	const struct cJSON *row;
	struct cert_info info;
	size_t der_len, row_len;
	uint8_t *der, *text;
	const char *why;
	char *pem;
	rc ret;

	if (!line->leaf)
		return RC_NOT_FOUND;
	ret = enc_unbase64(a, line->leaf, line->leaf_len, &der, &der_len);
	if (ret == RC_OK)
		ret =
		    enc_unbase64(a, line->row, line->row_len, &text, &row_len);
	if (ret == RC_OK)
		ret = json_parse(a, (const char *)text, row_len, &row, &why);
	if (ret == RC_OK)
		ret = read_leaf(a, der, der_len, line, &info);
	if (ret == RC_OK)
		ret = cert_to_pem(a, der, der_len, &pem);
	if (ret != RC_OK)
		return RC_INVALID;
	return write_leaf(a, line, &info, pem, json_text(a, row), out);
}
