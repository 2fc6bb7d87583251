/*
 * The configured paths of an install: taken over as links, given back.
 *
 * The file that stood at a path is never copied and removed: the link is made
 * beside it and the two exchange their names in one step, so that its bytes,
 * owner, mode and time stay what they are, and a crash shows the one or the
 * other.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/install_int.h"
#include "agent/safedir.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"

#define SPOTS_MAX 3

enum stands {
	STANDS_NOTHING,
	STANDS_OURS, /* the link to T/current/<file> */
	STANDS_OTHER /* somebody's file, or a link of somebody's */
};

/* One configured path that is not T/current/<file> itself. */
struct spot {
	const char *path;
	const char *name; /* its last part, in dir_fd */
	const char *want; /* what our link names */
	const char *orig; /* where the file that stood there is kept */
	int dir_fd;
};

struct spots {
	size_t n;
	struct spot all[SPOTS_MAX];
};

static void
spots_close(struct spots *s)
{
	for (size_t i = 0; i < s->n; i++)
		close(s->all[i].dir_fd);
	s->n = 0;
}

static rc
spots_add(struct arena *a, const struct install_paths *p, struct spots *s,
    const char *path, const char *file, const char **out_why)
{
	struct spot *t = &s->all[s->n];
	const char *slash;
	rc ret;

	if (!path)
		return RC_OK;
	slash = strrchr(path, '/');
	t->want = arena_printf(a, "%s/current/%s", p->dir, file);
	if (strcmp(path, t->want) == 0)
		return RC_OK;
	t->path = path;
	t->name = slash + 1;
	t->orig = arena_printf(a, ".certctl-orig-%s", t->name);
	ret = safedir_open(a,
	    slash == path ? "/"
			  : arena_strndup(a, path, (size_t)(slash - path)),
	    &t->dir_fd, out_why);
	if (ret == RC_OK)
		s->n++;
	return ret;
}

/* By way of a link two paths may be one, and taking the second over would
 * throw away what was kept of the first. */
static bool
is_same_place(const struct spot *x, const struct spot *y)
{
	struct stat a, b;

	return strcmp(x->name, y->name) == 0 && fstat(x->dir_fd, &a) == 0 &&
	       fstat(y->dir_fd, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static rc
check_places(struct arena *a, const struct spots *s, const char **out_why)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!is_same_place(&s->all[i], &s->all[j]))
				continue;
			*out_why = arena_printf(a,
			    "%s and %s are the same file by way of a link; "
			    "nothing was changed",
			    s->all[j].path, s->all[i].path);
			return RC_INVALID;
		}
	}
	return RC_OK;
}

static rc
spots_open(struct arena *a, const struct install_paths *p, struct spots *s,
    const char **out_why)
{
	rc ret;

	s->n = 0;
	ret = spots_add(a, p, s, p->cert_path, CERT_FILE, out_why);
	if (ret == RC_OK)
		ret = spots_add(a, p, s, p->key_path, KEY_FILE, out_why);
	if (ret == RC_OK)
		ret = spots_add(a, p, s, p->chain_path, CHAIN_FILE, out_why);
	if (ret == RC_OK)
		ret = check_places(a, s, out_why);
	if (ret != RC_OK)
		spots_close(s);
	return ret;
}

static bool
is_our_link(const struct spot *t, const char *name)
{
	char have[PATH_MAX];
	ssize_t n = readlinkat(t->dir_fd, name, have, sizeof(have));

	return n > 0 && (size_t)n == strlen(t->want) &&
	       memcmp(have, t->want, (size_t)n) == 0;
}

static enum stands
stands_at(const struct spot *t, const char *name)
{
	struct stat st;

	if (is_our_link(t, name))
		return STANDS_OURS;
	if (fstatat(t->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
	    errno == ENOENT)
		return STANDS_NOTHING;
	return STANDS_OTHER;
}

static bool
is_directory(const struct spot *t)
{
	struct stat st;

	return fstatat(t->dir_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* Where a file system can't exchange names: a second name for the file, then
 * a link over the first. */
static int
exchange_by_link(const struct spot *t)
{
	if (unlinkat(t->dir_fd, t->orig, 0) != 0 ||
	    linkat(t->dir_fd, t->name, t->dir_fd, t->orig, 0) != 0)
		return -1;
	return files_symlink(t->dir_fd, t->want, t->name) == RC_OK ? 0 : -1;
}

static int
exchange(const struct spot *t)
{
	if (renameat2(t->dir_fd, t->orig, t->dir_fd, t->name,
		RENAME_EXCHANGE) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS)
		return exchange_by_link(t);
	return -1;
}

static int
spot_take(const struct spot *t)
{
	switch (stands_at(t, t->name)) {
	case STANDS_OURS:
		return 0;
	case STANDS_NOTHING:
		if (symlinkat(t->want, t->dir_fd, t->name) != 0)
			return -1;
		break;
	case STANDS_OTHER:
		if (is_directory(t)) {
			errno = EISDIR;
			return -1;
		}
		/* Of a run that was cut off; or older than what stands. */
		if (unlinkat(t->dir_fd, t->orig, 0) != 0 && errno != ENOENT)
			return -1;
		if (symlinkat(t->want, t->dir_fd, t->orig) != 0)
			return -1;
		if (exchange(t) != 0) {
			int saved = errno;

			if (is_our_link(t, t->orig))
				(void)unlinkat(t->dir_fd, t->orig, 0);
			errno = saved;
			return -1;
		}
		break;
	}
	return fsync(t->dir_fd);
}

static rc
link_paths(struct arena *a, const struct install_paths *p, const char **out_why)
{
	struct spots s;
	rc ret;

	ret = spots_open(a, p, &s, out_why);
	if (ret != RC_OK)
		return ret;
	for (size_t i = 0; ret == RC_OK && i < s.n; i++) {
		if (spot_take(&s.all[i]) != 0)
			ret = install_fail(a, out_why, "cannot link",
			    s.all[i].path);
		fault_point("agent.install.linked");
	}
	spots_close(&s);
	return ret;
}

/* What is adopted is what one can go back to. */
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

static rc
read_spot(struct arena *a, const char *path, char **out, size_t *out_len,
    const char **out_why)
{
	rc ret = files_read_path(a, path, PAIR_MAX, out, out_len);

	if (ret == RC_OK)
		return RC_OK;
	*out_why = arena_printf(a,
	    "what stands at %s cannot be kept to go back to (%s); nothing was "
	    "changed",
	    path, ret == RC_IO ? strerror(errno) : rc_name(ret));
	return RC_INVALID;
}

/* A link to elsewhere is followed: what it serves now is what to go back to. */
static rc
copy_pair(struct arena *a, const struct install_paths *p, const char **out_why)
{
	char *cert, *key = NULL, *chain;
	struct pair pair;
	size_t cert_len, chain_len;
	rc ret;
	int v_fd;

	ret = read_spot(a, p->cert_path, &cert, &cert_len, out_why);
	if (ret != RC_OK)
		return ret;
	pair = (struct pair){.fullchain = cert};
	if (p->chain_path && files_read_path(a, p->chain_path, PAIR_MAX, &chain,
				 &chain_len) == RC_OK)
		pair.chain = chain;
	ret = read_spot(a, p->key_path, &key, &pair.key_len, out_why);
	if (ret != RC_OK)
		return ret;
	pair.key = key;
	ret = check_pair(a, p, cert, cert_len, key, pair.key_len, out_why);
	if (ret == RC_OK) {
		/* an older adoption, which no path leads to */
		if (safedir_open(a, arena_printf(a, "%s/v", p->dir), &v_fd,
			out_why) == RC_OK) {
			install_remove_version(v_fd, ADOPTED);
			close(v_fd);
		}
		ret = install_write_version(a, p, ADOPTED, &pair, out_why);
	}
	mem_wipe(key, pair.key_len);
	if (ret != RC_OK)
		return ret;
	fault_point("agent.install.copied");
	return install_point(a, p, "v/" ADOPTED, out_why);
}

/* Which of the two paths of a pair stand how; *out_copy: as a pair that is
 * to be copied first. */
static rc
look_at_pair(struct arena *a, const struct install_paths *p,
    const struct spots *s, const char *current, bool *out_copy,
    const char **out_why)
{
	enum stands cert, key;

	assert(s->n >= 2); /* unless is_direct, neither is our own */
	cert = stands_at(&s->all[0], s->all[0].name);
	key = stands_at(&s->all[1], s->all[1].name);
	*out_copy = false;
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
	*out_copy = true;
	return RC_OK;
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
	const struct spot *t = s->n > 0 ? &s->all[s->n - 1] : NULL;
	size_t chain_len, cert_len;
	char *chain, *cert;
	rc ret;

	if (!p->chain_path || !t || t->path != p->chain_path ||
	    stands_at(t, t->name) != STANDS_OTHER)
		return RC_OK;
	ret = read_spot(a, p->chain_path, &chain, &chain_len, out_why);
	if (ret != RC_OK || chain_len == 0)
		return ret;
	if (files_read_path(a, p->cert_path, PAIR_MAX, &cert, &cert_len) ==
		RC_OK &&
	    has_issued(chain, chain_len, cert, cert_len))
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
install_adopt(struct arena *a, const struct install_paths *p,
    const char **out_why)
{
	const char *current;
	bool is_copied = false;
	struct spots s;
	rc ret;

	ret = spots_open(a, p, &s, out_why);
	if (ret != RC_OK)
		return ret;
	ret = look_at_current(a, p, &current, out_why);
	if (ret == RC_OK)
		ret = check_chain(a, p, &s, out_why);
	if (ret == RC_OK && !p->is_direct)
		ret = look_at_pair(a, p, &s, current, &is_copied, out_why);
	spots_close(&s);
	if (ret == RC_OK && is_copied)
		ret = copy_pair(a, p, out_why);
	/* Both must be links before current moves, or the next version would
	 * be seen with the old key. */
	if (ret == RC_OK && !p->is_direct && (is_copied || current[0] != '\0'))
		ret = link_paths(a, p, out_why);
	return ret;
}

rc
install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why)
{
	rc ret;

	ret = install_check_whole(a, p, target, out_why);
	if (ret == RC_OK)
		ret = install_point(a, p, target, out_why);
	if (ret == RC_OK)
		ret = link_paths(a, p, out_why);
	return ret;
}

bool
install_is_adopted(const char *target)
{
	return strcmp(target, "v/" ADOPTED) == 0;
}

static int
spot_give_back(const struct spot *t, bool is_first)
{
	enum stands kept = stands_at(t, t->orig);

	if (kept == STANDS_OURS && unlinkat(t->dir_fd, t->orig, 0) != 0)
		return -1;
	if (stands_at(t, t->name) == STANDS_OTHER)
		return 0;
	if (kept == STANDS_OTHER) {
		if (renameat(t->dir_fd, t->orig, t->dir_fd, t->name) != 0)
			return -1;
	} else if (is_first && is_our_link(t, t->name) &&
		   unlinkat(t->dir_fd, t->name, 0) != 0) {
		return -1;
	}
	return fsync(t->dir_fd);
}

/* No path leads here any more: as if it had never been. */
static rc
forget_current(struct arena *a, const struct install_paths *p,
    const char **out_why)
{
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret == RC_NOT_FOUND)
		return RC_OK;
	if (ret != RC_OK)
		return ret;
	ret = files_remove(fd, "current");
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot remove current in",
		    p->dir);
	close(fd);
	if (ret == RC_OK && safedir_open(a, arena_printf(a, "%s/v", p->dir),
				&fd, out_why) == RC_OK) {
		install_remove_version(fd, ADOPTED);
		close(fd);
	}
	return ret;
}

static bool
leads_here(const struct spots *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (is_our_link(&s->all[i], s->all[i].name))
			return true;
	}
	return false;
}

rc
install_back(struct arena *a, const struct install_paths *p,
    const char *previous, const char **out_why)
{
	bool is_first = previous[0] == '\0';
	bool is_whole = is_first || install_is_adopted(previous);
	struct spots s;
	rc ret;

	ret = spots_open(a, p, &s, out_why);
	if (ret == RC_NOT_FOUND && is_first)
		return RC_OK; /* nothing can have been put there */
	if (ret != RC_OK)
		return ret;
	if (!is_first)
		ret = install_point(a, p, previous, out_why);
	for (size_t i = s.n; ret == RC_OK && i-- > 0;) {
		if (spot_give_back(&s.all[i], is_first) != 0)
			ret = install_fail(a, out_why, "cannot give back",
			    s.all[i].path);
		fault_point("agent.install.given_back");
	}
	if (ret == RC_OK && is_whole && (is_first || !leads_here(&s)))
		ret = forget_current(a, p, out_why);
	spots_close(&s);
	return ret;
}

void
install_settle(struct arena *a, const struct install_paths *p)
{
	const char *why;
	struct spots s;

	if (spots_open(a, p, &s, &why) != RC_OK)
		return;
	for (size_t i = 0; i < s.n; i++) {
		if (is_our_link(&s.all[i], s.all[i].name))
			/* one that stays is replaced by the next */
			IGNORE_RESULT(
			    files_remove(s.all[i].dir_fd, s.all[i].orig));
	}
	spots_close(&s);
}
