#include "common/pki/cert/constraints.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "common/base/buf.h"
#include "common/base/hostname.h"
#include "common/json/json.h"

#define NETWORK_MAX 64 /* bytes of "address/bits" */

/* --- reading --- */

static void
fill_mask(struct subtree *out, unsigned bits)
{
	for (size_t i = 0; i < out->nip; i++) {
		unsigned n = bits > 8 ? 8 : bits;

		out->ip[out->nip + i] = (uint8_t)(0xff00U >> n);
		bits -= n;
	}
}

static bool
has_host_bits(const struct subtree *t)
{
	for (size_t i = 0; i < t->nip; i++) {
		if ((t->ip[i] & ~t->ip[t->nip + i]) != 0)
			return true;
	}
	return false;
}

static bool
read_network(const char *text, struct subtree *out)
{
	char address[NETWORK_MAX];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;
	unsigned bits = 0;

	if (!slash || len >= sizeof(address) || slash[1] == '\0' ||
	    strlen(slash + 1) > 3)
		return false;
	for (const char *p = slash + 1; *p; p++) {
		if (!isdigit((unsigned char)*p))
			return false;
		bits = bits * 10 + (unsigned)(*p - '0');
	}
	memcpy(address, text, len);
	address[len] = '\0';
	out->nip = inet_pton(AF_INET, address, out->ip) == 1    ? 4
		   : inet_pton(AF_INET6, address, out->ip) == 1 ? 16
								: 0;
	if (out->nip == 0 || bits > out->nip * 8)
		return false;
	fill_mask(out, bits);
	return !has_host_bits(out);
}

static unsigned
mask_bits(const struct subtree *t)
{
	unsigned bits = 0;

	for (size_t i = t->nip; i < 2 * t->nip; i++) {
		for (uint8_t b = t->ip[i]; b & 0x80; b = (uint8_t)(b << 1))
			bits++;
	}
	return bits;
}

/* Its text, one for each network; false where its mask is none of one. */
static bool
print_network(struct arena *a, struct subtree *t)
{
	struct subtree same = *t;
	char address[INET6_ADDRSTRLEN];

	fill_mask(&same, mask_bits(t));
	if (memcmp(same.ip, t->ip, 2 * t->nip) != 0 || has_host_bits(t) ||
	    !inet_ntop(t->nip == 4 ? AF_INET : AF_INET6, t->ip, address,
		sizeof(address)))
		return false;
	t->text = arena_printf(a, "%s/%u", address, mask_bits(t));
	return true;
}

static bool
read_subtree(struct arena *a, const char *text, struct subtree *out)
{
	char *lower = arena_strdup(a, text);

	*out = (struct subtree){.text = lower};
	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (strchr(lower, '/') || strchr(lower, ':'))
		return read_network(lower, out) && print_network(a, out);
	return hostname_is_valid(lower[0] == '.' ? lower + 1 : lower, false);
}

static rc
read_list(struct arena *a, const struct cJSON *object, const char *name,
    struct subtree **list, size_t *n, const char **out_why)
{
	const char **texts;
	size_t more = 0;
	rc ret;

	ret =
	    json_str_list(a, object, name, CONSTRAINTS_MAX, 255, &texts, &more);
	if (ret == RC_NOT_FOUND)
		return RC_OK;
	if (ret != RC_OK || *n + more > CONSTRAINTS_MAX) {
		*out_why = arena_printf(a,
		    "name_constraints.%s must be a list of %d texts or fewer",
		    name, CONSTRAINTS_MAX);
		return RC_INVALID;
	}
	for (size_t i = 0; i < more; i++) {
		if (read_subtree(a, texts[i], &(*list)[*n])) {
			(*n)++;
			continue;
		}
		*out_why = arena_printf(a,
		    "name_constraints.%s must hold DNS names (example.com, or "
		    ".example.com for what is below it alone) and networks "
		    "(192.0.2.0/24)",
		    name);
		return RC_INVALID;
	}
	return RC_OK;
}

static void
make_room(struct arena *a, struct constraints *out)
{
	*out = (struct constraints){0};
	out->permitted =
	    arena_alloc(a, (CONSTRAINTS_MAX + 1) * sizeof(struct subtree));
	out->excluded =
	    arena_alloc(a, (CONSTRAINTS_MAX + 1) * sizeof(struct subtree));
}

rc
constraints_read(struct arena *a, const struct cJSON *list,
    struct constraints *out, const char **out_why)
{
	const struct cJSON *one;
	rc ret = RC_OK;

	make_room(a, out);
	cJSON_ArrayForEach(one, list)
	{
		const struct cJSON *member;

		if (!cJSON_IsObject(one)) {
			*out_why = "name_constraints must hold objects";
			return RC_INVALID;
		}
		cJSON_ArrayForEach(member, one)
		{
			if (strcasecmp(member->string, "permitted") != 0 &&
			    strcasecmp(member->string, "excluded") != 0) {
				*out_why = "name_constraints has permitted and "
					   "excluded, and nothing else";
				return RC_INVALID;
			}
		}
		ret = read_list(a, one, "permitted", &out->permitted,
		    &out->npermitted, out_why);
		if (ret == RC_OK)
			ret = read_list(a, one, "excluded", &out->excluded,
			    &out->nexcluded, out_why);
		if (ret != RC_OK)
			return ret;
	}
	return RC_OK;
}

/* --- of a certificate --- */

static bool
take_name(struct arena *a, const GENERAL_NAME *base, struct subtree *out)
{
	const ASN1_STRING *s =
	    base->type == GEN_DNS ? base->d.dNSName : base->d.iPAddress;
	const char *text;
	int len;

	if (base->type != GEN_DNS && base->type != GEN_IPADD)
		return false;
	len = ASN1_STRING_length(s);
	*out = (struct subtree){.text = ""};
	if (base->type == GEN_DNS) {
		text = arena_strndup(a, (const char *)ASN1_STRING_get0_data(s),
		    (size_t)len);
		/* Not for another name behind a NUL. */
		return strlen(text) == (size_t)len &&
		       read_subtree(a, text, out);
	}
	if (len != 8 && len != 32)
		return false;
	out->nip = (size_t)len / 2;
	memcpy(out->ip, ASN1_STRING_get0_data(s), (size_t)len);
	return print_network(a, out);
}

static bool
take_names(struct arena *a, STACK_OF(GENERAL_SUBTREE) * from,
    struct subtree *list, size_t *n)
{
	for (int i = 0; i < sk_GENERAL_SUBTREE_num(from); i++) {
		if (*n == CONSTRAINTS_MAX ||
		    !take_name(a, sk_GENERAL_SUBTREE_value(from, i)->base,
			&list[*n]))
			return false;
		(*n)++;
	}
	return true;
}

rc
constraints_of(struct arena *a, const X509 *ca, struct constraints *out,
    const char **out_why)
{
	NAME_CONSTRAINTS *nc;
	int critical;
	bool ok;

	make_room(a, out);
	nc = X509_get_ext_d2i(ca, NID_name_constraints, &critical, NULL);
	if (!nc && critical == -1)
		return RC_OK;
	ok =
	    nc &&
	    take_names(a, nc->permittedSubtrees, out->permitted,
		&out->npermitted) &&
	    take_names(a, nc->excludedSubtrees, out->excluded, &out->nexcluded);
	NAME_CONSTRAINTS_free(nc);
	ERR_clear_error();
	if (ok)
		return RC_OK;
	*out_why = "has name constraints that are not of DNS names and IP "
		   "networks, or too many of them";
	return RC_INVALID;
}

/* --- one within another --- */

static bool
dns_is_within(const char *inner, const char *outer)
{
	bool only_below = outer[0] == '.';
	const char *name = inner[0] == '.' ? inner + 1 : inner;
	const char *zone = only_below ? outer + 1 : outer;
	size_t n = strlen(name), z = strlen(zone);

	if (n == z)
		return strcmp(name, zone) == 0 &&
		       (!only_below || inner[0] == '.');
	return n > z && name[n - z - 1] == '.' &&
	       strcmp(name + n - z, zone) == 0;
}

static bool
is_within(const struct subtree *inner, const struct subtree *outer)
{
	if (inner->nip != outer->nip)
		return false;
	if (inner->nip == 0)
		return dns_is_within(inner->text, outer->text);
	for (size_t i = 0; i < inner->nip; i++) {
		uint8_t mask = outer->ip[outer->nip + i];

		if ((inner->ip[i] & mask) != outer->ip[i] ||
		    (mask & ~inner->ip[inner->nip + i]) != 0)
			return false;
	}
	return true;
}

static bool
is_within_any(const struct subtree *one, const struct subtree *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_within(one, &list[i]))
			return true;
	}
	return false;
}

/* Kinds of names that a list says something of: networks of either size are
 * one kind to whoever verifies. */
static bool
has_kind(const struct subtree *list, size_t n, bool is_dns)
{
	for (size_t i = 0; i < n; i++) {
		if ((list[i].nip == 0) == is_dns)
			return true;
	}
	return false;
}

static void
inherit_kind(const struct constraints *parent, struct constraints *child,
    bool is_dns)
{
	if (has_kind(child->permitted, child->npermitted, is_dns))
		return;
	for (size_t i = 0;
	     i < parent->npermitted && child->npermitted < CONSTRAINTS_MAX;
	     i++) {
		if ((parent->permitted[i].nip == 0) == is_dns)
			child->permitted[child->npermitted++] =
			    parent->permitted[i];
	}
}

rc
constraints_narrow(struct arena *a, const struct constraints *parent,
    struct constraints *child, const char **out_why)
{
	bool asks = child->npermitted + child->nexcluded > 0;

	if (!asks) {
		*child = *parent;
		return RC_OK;
	}
	for (size_t i = 0; i < child->npermitted; i++) {
		const struct subtree *one = &child->permitted[i];

		if (has_kind(parent->permitted, parent->npermitted,
			one->nip == 0) &&
		    !is_within_any(one, parent->permitted,
			parent->npermitted)) {
			*out_why = arena_printf(a,
			    "name_constraints permits %s, which the CA above "
			    "does not",
			    one->text);
			return RC_INVALID;
		}
	}
	for (size_t i = 0; i < parent->nexcluded; i++) {
		const struct subtree *one = &parent->excluded[i];

		if (!is_within_any(one, child->excluded, child->nexcluded)) {
			*out_why = arena_printf(a,
			    "name_constraints must exclude %s, as the CA above "
			    "does",
			    one->text);
			return RC_INVALID;
		}
	}
	inherit_kind(parent, child, true);
	inherit_kind(parent, child, false);
	return RC_OK;
}

/* --- writing --- */

static bool
put_subtree(STACK_OF(GENERAL_SUBTREE) * *list, const struct subtree *t)
{
	GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();
	bool is_ip = t->nip > 0;
	ASN1_STRING *s = ASN1_STRING_type_new(
	    is_ip ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
	bool ok = sub && s;

	if (!*list)
		*list = sk_GENERAL_SUBTREE_new_null();
	ok = ok && *list &&
	     (is_ip ? ASN1_STRING_set(s, t->ip, (int)(2 * t->nip))
		    : ASN1_STRING_set(s, t->text, -1)) == 1;
	if (ok) {
		GENERAL_NAME_set0_value(sub->base, is_ip ? GEN_IPADD : GEN_DNS,
		    s);
		s = NULL;
		ok = sk_GENERAL_SUBTREE_push(*list, sub) > 0;
	}
	if (!ok) {
		ASN1_STRING_free(s);
		GENERAL_SUBTREE_free(sub);
	}
	return ok;
}

rc
constraints_add(X509 *ca, const struct constraints *c)
{
	NAME_CONSTRAINTS *nc;
	bool ok;

	if (c->npermitted + c->nexcluded == 0)
		return RC_OK;
	nc = NAME_CONSTRAINTS_new();
	ok = nc != NULL;
	for (size_t i = 0; ok && i < c->npermitted; i++)
		ok = put_subtree(&nc->permittedSubtrees, &c->permitted[i]);
	for (size_t i = 0; ok && i < c->nexcluded; i++)
		ok = put_subtree(&nc->excludedSubtrees, &c->excluded[i]);
	ok = ok && X509_add1_ext_i2d(ca, NID_name_constraints, nc, 1, 0) == 1;
	NAME_CONSTRAINTS_free(nc);
	return ok ? RC_OK : RC_CRYPTO;
}

static void
write_list(struct json_w *w, const char *name, const struct subtree *list,
    size_t n)
{
	json_w_key(w, name);
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++)
		json_w_str(w, list[i].text);
	json_w_close(w, ']');
}

const char *
constraints_json(struct arena *a, const struct constraints *c)
{
	const char *text;
	struct json_w w;
	struct buf b;

	if (c->npermitted + c->nexcluded == 0)
		return "[]";
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '[');
	json_w_open(&w, '{');
	write_list(&w, "permitted", c->permitted, c->npermitted);
	write_list(&w, "excluded", c->excluded, c->nexcluded);
	json_w_close(&w, '}');
	json_w_close(&w, ']');
	text = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return text;
}
