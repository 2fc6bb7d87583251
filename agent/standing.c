#include "agent/standing.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"

static rc
check_pair(struct arena *a, const struct install_paths *p, const char *cert,
    size_t cert_len, const char *key, size_t key_len, const char **out_why)
{
	EVP_PKEY *pkey;
	X509 *x;
	rc ret;

	ret = cert_from_pem(cert, cert_len, &x);
	if (ret != RC_OK) {
		*out_why = arena_printf(a,
		    "what stands at cert_path %s is no certificate; nothing "
		    "was changed: move it away, or mend the target's paths",
		    p->cert_path);
		return RC_INVALID;
	}
	ret = key_from_pem(key, key_len, &pkey);
	if (ret != RC_OK) {
		X509_free(x);
		*out_why = arena_printf(a,
		    "what stands at key_path %s is no private key; nothing "
		    "was changed: move it away, or mend the target's paths",
		    p->key_path);
		return RC_INVALID;
	}
	ret = cert_match_key(x, pkey);
	EVP_PKEY_free(pkey);
	X509_free(x);
	if (ret == RC_OK)
		return RC_OK;
	*out_why = arena_printf(a,
	    "the key at key_path %s is not that of the certificate at "
	    "cert_path %s; nothing was changed",
	    p->key_path, p->cert_path);
	return RC_INVALID;
}

/* It was seen, so that it is a link to nothing, or has just gone. */
static rc
read_what_stands(struct arena *a, const struct spot *t, char **out,
    size_t *out_len, struct stat *out_look, const char **out_why)
{
	rc ret = spot_read(a, t, PAIR_MAX, out, out_len, out_look, out_why);

	if (ret != RC_NOT_FOUND)
		return ret;
	*out_why = arena_printf(a,
	    "the link %s leads nowhere; nothing was changed: take it away",
	    t->path);
	return RC_INVALID;
}

/* A link to elsewhere is followed: what it serves now is what to go back to. */
static rc
read_pair(struct arena *a, const struct install_paths *p, const struct spots *s,
    struct standing *t, const char **out_why)
{
	const struct spot *chain = spots_find(s, p->chain_path);
	size_t cert_len, chain_len;
	char *text;
	rc ret;

	ret = read_what_stands(a, spots_find(s, p->cert_path), &text, &cert_len,
	    &t->cert_look, out_why);
	if (ret != RC_OK)
		return ret;
	t->pair.fullchain = text;
	t->pair.cert_look = &t->cert_look;
	if (chain) {
		ret = spot_read(a, chain, PAIR_MAX, &text, &chain_len,
		    &t->chain_look, out_why);
		if (ret != RC_OK && ret != RC_NOT_FOUND)
			return ret;
		t->pair.chain = ret == RC_OK ? text : NULL;
		t->pair.chain_look = ret == RC_OK ? &t->chain_look : NULL;
	}
	ret = read_what_stands(a, spots_find(s, p->key_path), &t->key,
	    &t->pair.key_len, &t->key_look, out_why);
	if (ret != RC_OK)
		return ret;
	t->pair.key = t->key;
	t->pair.key_look = &t->key_look;
	return check_pair(a, p, t->pair.fullchain, cert_len, t->pair.key,
	    t->pair.key_len, out_why);
}

/* Whether both paths hold what is to be copied first: *out. */
static rc
look_at_pair(struct arena *a, const struct install_paths *p,
    const struct spots *s, const char *current, bool *out, const char **out_why)
{
	const struct spot *at_cert = spots_find(s, p->cert_path);
	const struct spot *at_key = spots_find(s, p->key_path);
	enum stands cert, key = STANDS_NOTHING;
	rc ret;

	assert(at_cert && at_key); /* unless is_direct, neither is our own */
	*out = false;
	ret = spot_look(at_cert, &cert);
	if (ret == RC_OK)
		ret = spot_look(at_key, &key);
	if (ret != RC_OK)
		return install_fail(a, out_why, "cannot look at the files in",
		    p->dir);
	if (cert != STANDS_OTHER && key != STANDS_OTHER)
		return RC_OK;
	/* An adoption, or its undoing, was cut off between the two links. */
	if (install_is_adopted(current) &&
	    (cert == STANDS_OURS || key == STANDS_OURS))
		return RC_OK;
	if (cert == STANDS_NOTHING || key == STANDS_NOTHING) {
		*out_why = arena_printf(a,
		    "%s exists and %s does not, so there is no pair to go back "
		    "to; nothing was changed: mend the target's cert_path and "
		    "key_path, or move the file away",
		    key == STANDS_NOTHING ? p->cert_path : p->key_path,
		    key == STANDS_NOTHING ? p->key_path : p->cert_path);
		return RC_INVALID;
	}
	*out = true;
	return RC_OK;
}

rc
standing_read_cert(struct arena *a, const struct install_paths *p,
    const struct spots *s, char **out, size_t *out_len)
{
	const struct spot *t = spots_find(s, p->cert_path);
	const char *why;
	struct stat look;
	int fd;
	rc ret;

	if (t)
		return spot_read(a, t, PAIR_MAX, out, out_len, &look, &why);
	ret = install_open(a, p, &fd, &why);
	if (ret != RC_OK)
		return ret;
	ret = file_read_at(a, fd, "current/" CERT_FILE, 0, PAIR_MAX, out,
	    out_len);
	close(fd);
	return ret;
}

/* Whether the first certificate of the chain is that of the certificate's
 * issuer. */
static bool
has_issued(const char *chain, size_t chain_len, const char *cert,
    size_t cert_len)
{
	X509 *issuer, *x;
	bool is_same;

	if (cert_from_pem(chain, chain_len, &issuer) != RC_OK)
		return false;
	if (cert_from_pem(cert, cert_len, &x) != RC_OK) {
		X509_free(issuer);
		return false;
	}
	is_same = X509_NAME_cmp(X509_get_subject_name(issuer),
		      X509_get_issuer_name(x)) == 0;
	X509_free(x);
	X509_free(issuer);
	return is_same;
}

/* A success lets go of what stood at chain_path, so it must be the chain of
 * the pair, and not a configuration or the roots of the system. */
static rc
check_chain(struct arena *a, const struct install_paths *p,
    const struct spots *s, const char **out_why)
{
	const struct spot *t = spots_find(s, p->chain_path);
	enum stands stands = STANDS_NOTHING;
	size_t chain_len, cert_len;
	char *chain, *cert;
	struct stat look;
	rc ret;

	if (t && spot_look(t, &stands) != RC_OK)
		return install_fail(a, out_why, "cannot look at", t->path);
	if (stands != STANDS_OTHER)
		return RC_OK;
	ret = read_what_stands(a, t, &chain, &chain_len, &look, out_why);
	if (ret != RC_OK)
		return ret;
	if (chain_len == 0 ||
	    (standing_read_cert(a, p, s, &cert, &cert_len) == RC_OK &&
		has_issued(chain, chain_len, cert, cert_len)))
		return RC_OK;
	*out_why = arena_printf(a,
	    "what stands at chain_path %s does not begin with the issuer of "
	    "the certificate at cert_path; nothing was changed: move it away, "
	    "or mend the target's paths",
	    p->chain_path);
	return RC_INVALID;
}

static rc
look_at_current(struct arena *a, const struct install_paths *p,
    const char **out, const char **out_why)
{
	rc ret = install_current(a, p, out);

	if (ret == RC_CONFLICT)
		*out_why = arena_printf(a,
		    "the link %s/current is not one that certctl makes: it "
		    "does not name v/<version>; it was not changed: name other "
		    "paths",
		    p->dir);
	else if (ret != RC_OK)
		ret = install_fail(a, out_why,
		    "cannot read the link current in", p->dir);
	return ret;
}

rc
standing_read(struct arena *a, const struct install_paths *p,
    const struct spots *s, struct standing *out, const char **out_why)
{
	rc ret;

	*out = (struct standing){.current = ""};
	ret = look_at_current(a, p, &out->current, out_why);
	if (ret == RC_OK)
		ret = check_chain(a, p, s, out_why);
	if (ret == RC_OK && !p->is_direct)
		ret =
		    look_at_pair(a, p, s, out->current, &out->is_pair, out_why);
	if (ret == RC_OK && out->is_pair)
		ret = read_pair(a, p, s, out, out_why);
	if (ret != RC_OK)
		standing_wipe(out);
	return ret;
}

void
standing_wipe(struct standing *t)
{
	if (t->key)
		mem_wipe(t->key, t->pair.key_len);
}
