#include "common/pki/profile/certprofile.h"

#include <cjson/cJSON.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <string.h>
#include <strings.h>

#include "common/json/json.h"
#include "common/pki/key/alg.h"

#define LIST_TEXT_MAX 512

/* What is allowed where no profile says anything. */
#define DEFAULT_EC_BITS 256

/* --- reading --- */

static rc
read_list(struct arena *a, const struct cJSON *row, const char *name,
    size_t max, const char ***out, size_t *out_n)
{
	rc ret;

	*out_n = 0;
	ret = json_str_list(a, row, name, max, LIST_TEXT_MAX, out, out_n);
	return ret == RC_NOT_FOUND ? RC_OK : ret;
}

static rc
read_patterns(struct arena *a, const struct cJSON *row, struct certprofile *p,
    const char **out_why)
{
	const char **texts, *spiffe = "";
	rc ret;

	ret = read_list(a, row, "required_san_patterns",
	    CERTPROFILE_PATTERNS_MAX, &texts, &p->npatterns);
	for (size_t i = 0; ret == RC_OK && i < p->npatterns; i++)
		ret = namepattern_read(a, texts[i], &p->patterns[i], out_why);
	if (ret != RC_OK)
		return ret;
	ret = json_str(row, "spiffe_uri_pattern", NAMEPATTERN_SPIFFE_MAX,
	    &spiffe);
	if (ret == RC_INVALID)
		return ret;
	return spiffe[0] == '\0'
		   ? RC_OK
		   : namepattern_read_spiffe(a, spiffe, &p->spiffe, out_why);
}

static rc
read_flag(const struct cJSON *row, const char *name, bool *out)
{
	rc ret;

	ret = json_bool(row, name, out);
	return ret == RC_NOT_FOUND ? RC_OK : ret;
}

static rc
read_row(struct arena *a, const struct cJSON *row, struct certprofile *p,
    const char **out_why)
{
	rc ret;

	p->keys = json_get(row, "allowed_key_algorithms");
	ret = json_str(row, "id", LIST_TEXT_MAX, &p->id);
	if (ret == RC_OK)
		ret = json_int(row, "max_ttl_seconds", 0, INT32_MAX,
		    &p->max_ttl_s);
	if (ret == RC_OK)
		ret = read_flag(row, "enabled", &p->enabled);
	if (ret == RC_OK)
		ret = read_flag(row, "must_staple", &p->must_staple);
	if (ret == RC_OK)
		ret =
		    read_flag(row, "allow_short_lived", &p->allow_short_lived);
	if (ret == RC_OK)
		ret = read_list(a, row, "allowed_ekus", CERTPROFILE_EKUS_MAX,
		    &p->ekus, &p->nekus);
	if (ret == RC_OK)
		ret = read_list(a, row, "required_csr_attributes",
		    CERTPROFILE_ATTRIBUTES_MAX, &p->attributes,
		    &p->nattributes);
	return ret == RC_OK ? read_patterns(a, row, p, out_why) : ret;
}

rc
certprofile_read(struct arena *a, const char *text, struct certprofile *out,
    const char **out_why)
{
	const struct cJSON *row;
	const char *why = "one of its lists is none, or too long";
	rc ret;

	*out = (struct certprofile){.id = ""};
	ret = json_parse(a, text, strlen(text), &row, &why);
	if (ret == RC_OK)
		ret = read_row(a, row, out, &why);
	if (ret == RC_OK)
		return RC_OK;
	*out_why = arena_printf(a,
	    "the certificate's profile %s makes no sense: %s", out->id, why);
	return RC_INVALID;
}

/* --- the request --- */

/* A min_size that is no number allows nothing; one that is not there all. */
static bool
key_is_of(const struct cJSON *rule, const struct csr *csr)
{
	const struct cJSON *algorithm = json_get(rule, "algorithm");
	const struct cJSON *size = json_get(rule, "min_size");

	if (!cJSON_IsString(algorithm) ||
	    strcasecmp(algorithm->valuestring, csr->key_algorithm) != 0)
		return false;
	if (!size || cJSON_IsNull(size))
		return true;
	/* All keys of Ed25519 are of one size. */
	return cJSON_IsNumber(size) &&
	       (strcmp(csr->key_algorithm, ALG_ED25519) == 0 ||
		   (double)csr->key_size >= size->valuedouble);
}

static bool
key_is_allowed(const struct certprofile *p, const struct csr *csr)
{
	const struct cJSON *rule;

	if (!p) {
		if (strcmp(csr->key_algorithm, ALG_ECDSA) == 0)
			return csr->key_size >= DEFAULT_EC_BITS;
		return strcmp(csr->key_algorithm, ALG_RSA) == 0 &&
		       csr->key_size >= ALG_RSA_BITS_MIN;
	}
	if (!cJSON_IsArray(p->keys))
		return false;
	cJSON_ArrayForEach(rule, p->keys)
	{
		if (cJSON_IsObject(rule) && key_is_of(rule, csr))
			return true;
	}
	return false;
}

bool
certprofile_allows_name(const struct certprofile *p, const struct san *name)
{
	if (name->type == SAN_URI && p->spiffe)
		return namepattern_matches(p->spiffe, name->text);
	for (size_t i = 0; i < p->npatterns; i++) {
		if (namepattern_matches(p->patterns[i], name->text))
			return true;
	}
	return p->npatterns == 0;
}

static rc
check_names(struct arena *a, const struct certprofile *p, const struct csr *csr,
    const char **out_why)
{
	bool has_uri = false;

	for (size_t i = 0; i < csr->nnames; i++) {
		const struct san *name = &csr->names[i];

		has_uri = has_uri || name->type == SAN_URI;
		if (certprofile_allows_name(p, name))
			continue;
		*out_why = arena_printf(a,
		    "the certificate's profile %s does not allow the name %s "
		    "(%s)",
		    p->id, name->text,
		    name->type == SAN_URI && p->spiffe
			? "spiffe_uri_pattern"
			: "required_san_patterns");
		return RC_INVALID;
	}
	if (!p->spiffe || has_uri)
		return RC_OK;
	*out_why = arena_printf(a,
	    "the certificate's profile %s demands a URI name "
	    "(spiffe_uri_pattern), and the request has none",
	    p->id);
	return RC_INVALID;
}

rc
certprofile_attribute(struct arena *a, const char *text, struct span *out_oid)
{
	ASN1_OBJECT *object = OBJ_txt2obj(text, 0);
	uint8_t *bytes;

	ERR_clear_error();
	if (!object)
		return RC_INVALID;
	*out_oid = (struct span){NULL, OBJ_length(object)};
	bytes = arena_alloc(a, out_oid->len + 1);
	memcpy(bytes, OBJ_get0_data(object), out_oid->len);
	out_oid->p = bytes;
	ASN1_OBJECT_free(object);
	return RC_OK;
}

static rc
check_attributes(struct arena *a, const struct certprofile *p,
    const struct csr *csr, const char **out_why)
{
	struct span oid;
	rc ret;

	for (size_t i = 0; i < p->nattributes; i++) {
		ret = certprofile_attribute(a, p->attributes[i], &oid);
		if (ret == RC_OK && csr_has_type(csr, oid))
			continue;
		*out_why = arena_printf(a,
		    "the certificate's profile %s demands the attribute %s "
		    "(required_csr_attributes), which the request lacks",
		    p->id, p->attributes[i]);
		return RC_INVALID;
	}
	return RC_OK;
}

rc
certprofile_allows_request(struct arena *a, const struct certprofile *p,
    const struct csr *csr, const char **out_why)
{
	rc ret;

	if (p && !p->enabled) {
		*out_why = arena_printf(a,
		    "the certificate's profile %s is disabled", p->id);
		return RC_INVALID;
	}
	if (!key_is_allowed(p, csr)) {
		*out_why = arena_printf(a,
		    "the certificate's profile%s%s does not allow a key of %s "
		    "with %d bits",
		    p ? " " : "", p ? p->id : "", csr->key_algorithm,
		    csr->key_size);
		return RC_INVALID;
	}
	if (!p)
		return RC_OK;
	ret = check_names(a, p, csr, out_why);
	return ret == RC_OK ? check_attributes(a, p, csr, out_why) : ret;
}

/* --- the leaf --- */

static bool
eku_is_allowed(const struct certprofile *p, const char *name)
{
	for (size_t i = 0; i < p->nekus; i++) {
		if (strcmp(p->ekus[i], name) == 0)
			return true;
	}
	return p->nekus == 0;
}

rc
certprofile_allows_leaf(struct arena *a, const struct certprofile *p,
    const struct certprofile_leaf *leaf, const char **out_why)
{
	bool has_own_life = p->max_ttl_s > 0 && p->max_ttl_s < leaf->short_s;
	const char *const *eku = leaf->ekus;

	*out_why = NULL;
	if (p->max_ttl_s > 0 && leaf->life_s > p->max_ttl_s)
		*out_why = arena_printf(a,
		    "lives %lld s, longer than its max_ttl_seconds (%lld)",
		    (long long)leaf->life_s, (long long)p->max_ttl_s);
	/* What the profile itself makes short needs no leave. */
	else if (leaf->life_s < leaf->short_s && !p->allow_short_lived &&
		 !has_own_life && !leaf->ends_with_ca)
		*out_why = arena_printf(a,
		    "lives %lld s, and allow_short_lived is false",
		    (long long)leaf->life_s);
	else if (p->must_staple && !leaf->must_staple)
		*out_why = "lacks the OCSP must-staple extension";
	for (; !*out_why && eku && *eku; eku++) {
		if (!eku_is_allowed(p, *eku))
			*out_why = arena_printf(a,
			    "is for %s, which is none of its allowed_ekus",
			    *eku);
	}
	if (!*out_why)
		return RC_OK;
	*out_why = arena_printf(a,
	    "the certificate's profile %s does not allow a certificate that %s",
	    p->id, *out_why);
	return RC_INVALID;
}
