#include "common/pki/cert/subca.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "common/json/json.h"
#include "common/pki/asn1/name.h"
#include "common/pki/cert/ca_fill.h"
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

const char *const subca_algorithms[] = {"ECDSA-P256", "ECDSA-P384", "RSA-2048",
    "RSA-3072", "RSA-4096", NULL};

/* In the order that names are usually written in; upper bounds of X.520. */
static const struct attribute {
	const char *member;
	int nid;
	size_t max;
	bool is_list;
} attributes[] = {
    {"country", NID_countryName, 2, true},
    {"province", NID_stateOrProvinceName, 128, true},
    {"locality", NID_localityName, 128, true},
    {"organization", NID_organizationName, 64, true},
    {"organizational_unit", NID_organizationalUnitName, 64, true},
    {"common_name", NID_commonName, 64, false},
};

/* --- the subject --- */

static size_t
count_chars(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static const char *
refuse_text(struct arena *a, const struct attribute *t,
    const struct cJSON *value)
{
	const char *text, *why;

	if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
		return arena_printf(a, "subject.%s must be %s", t->member,
		    t->is_list ? "a list of texts" : "a text");
	text = value->valuestring;
	why = name_refuse_text(text, strlen(text));
	if (why)
		return arena_printf(a, "subject.%s: %s", t->member, why);
	if (t->nid == NID_countryName &&
	    (strlen(text) != 2 || text[0] < 'A' || text[0] > 'Z' ||
		text[1] < 'A' || text[1] > 'Z'))
		return "subject.country must hold codes of two letters, as DE";
	if (count_chars(text) > t->max)
		return arena_printf(a,
		    "subject.%s must be %zu characters or fewer", t->member,
		    t->max);
	return NULL;
}

static const char *
refuse_attribute(struct arena *a, const struct attribute *t,
    const struct cJSON *value)
{
	const struct cJSON *one;
	const char *why = NULL;

	if (!value || cJSON_IsNull(value))
		return t->is_list ? NULL : "subject.common_name is required";
	if (!t->is_list)
		return refuse_text(a, t, value);
	if (!cJSON_IsArray(value) ||
	    cJSON_GetArraySize(value) > SUBCA_NAMES_MAX)
		return arena_printf(a,
		    "subject.%s must be a list of %d texts or fewer", t->member,
		    SUBCA_NAMES_MAX);
	cJSON_ArrayForEach(one, value)
	{
		why = refuse_text(a, t, one);
		if (why)
			break;
	}
	return why;
}

const char *
subca_refuse_subject(struct arena *a, const struct cJSON *subject)
{
	const struct cJSON *member;
	const char *why;

	if (!cJSON_IsObject(subject))
		return "subject must be an object with a common_name";
	cJSON_ArrayForEach(member, subject)
	{
		size_t i = 0;

		while (i < ARRAY_LEN(attributes) &&
		       strcasecmp(attributes[i].member, member->string) != 0)
			i++;
		if (i == ARRAY_LEN(attributes))
			return "subject has common_name, organization, "
			       "organizational_unit, country, locality and "
			       "province, and nothing else";
	}
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		why = refuse_attribute(a, &attributes[i],
		    json_get(subject, attributes[i].member));
		if (why)
			return why;
	}
	return NULL;
}

static bool
add_text(X509_NAME *name, const struct attribute *t, const struct cJSON *value)
{
	return cJSON_IsString(value) &&
	       X509_NAME_add_entry_by_NID(name, t->nid,
		   t->nid == NID_countryName ? MBSTRING_ASC : MBSTRING_UTF8,
		   (const unsigned char *)value->valuestring, -1, -1, 0) == 1;
}

static bool
set_subject(X509 *x, const struct cJSON *subject)
{
	X509_NAME *name = X509_get_subject_name(x);
	bool ok = true;

	for (size_t i = 0; ok && i < ARRAY_LEN(attributes); i++) {
		const struct attribute *t = &attributes[i];
		const struct cJSON *one, *value = json_get(subject, t->member);

		if (!t->is_list) {
			ok = add_text(name, t, value);
			continue;
		}
		cJSON_ArrayForEach(one, value) ok =
		    ok && add_text(name, t, one);
	}
	return ok;
}

/* --- key and path length --- */

int
subca_rsa_bits(const char *algorithm)
{
	static const struct {
		const char *name;
		int bits;
	} sizes[] = {{"RSA-2048", 2048}, {"RSA-3072", 3072},
	    {"RSA-4096", 4096}};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		if (strcmp(sizes[i].name, algorithm) == 0)
			return sizes[i].bits;
	}
	return 0;
}

rc
subca_key_new(const char *algorithm, EVP_PKEY **out)
{
	EVP_PKEY *key;

	if (strcmp(algorithm, "ECDSA-P256") == 0)
		return key_new_p256(out);
	if (strcmp(algorithm, "ECDSA-P384") != 0)
		return RC_INVALID;
	key = EVP_EC_gen("P-384");
	if (!key) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	*out = key;
	return RC_OK;
}

rc
subca_path_len(struct arena *a, X509 *parent, int *path_len,
    const char **out_why)
{
	long above = X509_get_pathlen(parent);

	if (above < 0)
		return RC_OK;
	if (above == 0) {
		*out_why = "the CA above has a path length of 0: no CA may "
			   "stand below it";
		return RC_INVALID;
	}
	if (above > SUBCA_PATH_MAX)
		above = SUBCA_PATH_MAX + 1;
	if (*path_len == SUBCA_NO_PATH_LEN) {
		*path_len = (int)above - 1;
		return RC_OK;
	}
	if (*path_len < above)
		return RC_OK;
	*out_why = arena_printf(a,
	    "path_len_constraint must be less than that of the CA above, %ld",
	    above);
	return RC_INVALID;
}

/* --- the certificate --- */

static bool
add_basic(X509 *x, int path_len)
{
	BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
	bool ok = bc != NULL;

	if (ok)
		bc->ca = 0xff;
	if (ok && path_len != SUBCA_NO_PATH_LEN) {
		bc->pathlen = ASN1_INTEGER_new();
		ok =
		    bc->pathlen && ASN1_INTEGER_set(bc->pathlen, path_len) == 1;
	}
	ok = ok && X509_add1_ext_i2d(x, NID_basic_constraints, bc, 1, 0) == 1;
	BASIC_CONSTRAINTS_free(bc);
	return ok;
}

/* Not by OpenSSL's text form, in which a URL's commas are commas. */
static bool
add_ocsp(X509 *x, const char *url)
{
	AUTHORITY_INFO_ACCESS *list = AUTHORITY_INFO_ACCESS_new();
	ACCESS_DESCRIPTION *one = ACCESS_DESCRIPTION_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool ok = list && one && text && ASN1_STRING_set(text, url, -1) == 1;

	if (ok) {
		ASN1_OBJECT_free(one->method);
		one->method = OBJ_nid2obj(NID_ad_OCSP);
		GENERAL_NAME_set0_value(one->location, GEN_URI, text);
		text = NULL;
		ok = sk_ACCESS_DESCRIPTION_push(list, one) > 0;
		if (ok)
			one = NULL;
	}
	ok = ok && X509_add1_ext_i2d(x, NID_info_access, list, 0, 0) == 1;
	ASN1_IA5STRING_free(text);
	ACCESS_DESCRIPTION_free(one);
	AUTHORITY_INFO_ACCESS_free(list);
	return ok;
}

/* One DistributionPoint a URL, by its full name. */
static bool
add_crl_point(CRL_DIST_POINTS *list, const char *url)
{
	DIST_POINT *point = DIST_POINT_new();
	DIST_POINT_NAME *name = DIST_POINT_NAME_new();
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *one = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool ok = point && name && names && one && text &&
		  ASN1_STRING_set(text, url, -1) == 1;

	if (ok) {
		GENERAL_NAME_set0_value(one, GEN_URI, text);
		text = NULL;
		ok = sk_GENERAL_NAME_push(names, one) > 0;
	}
	if (ok) {
		one = NULL;
		name->type = 0;
		name->name.fullname = names;
		names = NULL;
		point->distpoint = name;
		name = NULL;
		ok = sk_DIST_POINT_push(list, point) > 0;
	}
	if (ok)
		point = NULL;
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(one);
	GENERAL_NAMES_free(names);
	DIST_POINT_NAME_free(name);
	DIST_POINT_free(point);
	return ok;
}

static bool
add_crl_points(X509 *x, const char *const *urls)
{
	CRL_DIST_POINTS *list;
	bool ok;

	if (!urls || !*urls)
		return true;
	list = CRL_DIST_POINTS_new();
	ok = list != NULL;
	for (; ok && *urls; urls++)
		ok = add_crl_point(list, *urls);
	ok = ok &&
	     X509_add1_ext_i2d(x, NID_crl_distribution_points, list, 0, 0) == 1;
	CRL_DIST_POINTS_free(list);
	return ok;
}

static bool
fill(X509 *x, X509 *parent, EVP_PKEY *key, const struct subca_spec *s)
{
	return X509_set_version(x, X509_VERSION_3) == 1 && ca_fill_serial(x) &&
	       set_subject(x, s->subject) &&
	       X509_set_issuer_name(x, X509_get_subject_name(parent)) == 1 &&
	       ca_fill_times(x, s->not_before_unix, s->not_after_unix) &&
	       X509_set_pubkey(x, key) == 1 && add_basic(x, s->path_len) &&
	       ca_fill_extension(x, parent, NID_key_usage,
		   "critical,keyCertSign,cRLSign") &&
	       ca_fill_extension(x, parent, NID_subject_key_identifier,
		   "hash") &&
	       ca_fill_extension(x, parent, NID_authority_key_identifier,
		   "keyid") &&
	       constraints_add(x, s->constraints) == RC_OK &&
	       (s->ocsp_url[0] == '\0' || add_ocsp(x, s->ocsp_url)) &&
	       add_crl_points(x, s->crl_urls);
}

rc
subca_make(X509 *parent, EVP_PKEY *parent_key, EVP_PKEY *key,
    const struct subca_spec *spec, X509 **out)
{
	const struct alg_sig *sig = alg_sig_for(parent_key);
	X509 *x = X509_new();

	if (!sig || !x || !fill(x, parent, key, spec) ||
	    X509_sign(x, parent_key, alg_md(sig->md)) <= 0) {
		X509_free(x);
		ERR_clear_error();
		return RC_CRYPTO;
	}
	*out = x;
	return RC_OK;
}
