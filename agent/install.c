#include "agent/install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/install_int.h"
#include "agent/look.h"
#include "agent/safedir.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/pki/cert/cert.h"

#define PEM_END "-----END CERTIFICATE-----"

rc
install_fail(struct arena *a, const char **out_why, const char *what,
    const char *path)
{
	*out_why = arena_printf(a, "%s %s: %s", what, path, strerror(errno));
	return RC_IO;
}

/* One spelling a path, since directories are told apart by it. */
static bool
is_plain_absolute(const char *path)
{
	return path[0] == '/' && path[1] != '\0' && !strstr(path, "//") &&
	       !strstr(path, "/./") && !strstr(path, "/../") &&
	       !text_ends_with(path, "/..") && !text_ends_with(path, "/.") &&
	       !text_ends_with(path, "/") && strlen(path) < INSTALL_PATH_MAX;
}

/* A file of ours, or anything in a directory of ours unless it is named as
 * such. */
static bool
is_reserved(const char *path, bool is_direct)
{
	return strstr(is_direct ? strrchr(path, '/') : path, "/.certctl-");
}

/* The id becomes a directory's name. */
static bool
is_version_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 128 && s[0] != '.' && !strchr(s, '/');
}

rc
install_paths_of(struct arena *a, const char *cert_path, const char *key_path,
    const char *chain_path, struct install_paths *out, const char **out_why)
{
	const char *slash;
	struct install_paths p = {.cert_path = cert_path,
	    .key_path = key_path,
	    .chain_path = chain_path,
	    .cert = {.mode = -1},
	    .key = {.mode = -1},
	    .chain = {.mode = -1}};
	char *dir;

	if (!is_plain_absolute(cert_path) || !is_plain_absolute(key_path) ||
	    (chain_path && !is_plain_absolute(chain_path))) {
		*out_why = "cert_path, key_path and chain_path must be "
			   "absolute paths of files, without . .. or //";
		return RC_INVALID;
	}
	if (strcmp(cert_path, key_path) == 0 ||
	    (chain_path && (strcmp(chain_path, cert_path) == 0 ||
			       strcmp(chain_path, key_path) == 0))) {
		*out_why = "cert_path, key_path and chain_path must be "
			   "different files";
		return RC_INVALID;
	}
	slash = strrchr(cert_path, '/');
	p.is_direct = text_ends_with(cert_path, "/current/" CERT_FILE) &&
		      text_ends_with(key_path, "/current/" KEY_FILE) &&
		      strlen(cert_path) > strlen("/current/" CERT_FILE);
	if (is_reserved(cert_path, p.is_direct) ||
	    is_reserved(key_path, p.is_direct) ||
	    (chain_path && is_reserved(chain_path, p.is_direct))) {
		*out_why = "names that begin with .certctl- are what the agent "
			   "puts beside the files";
		return RC_INVALID;
	}
	if (p.is_direct) {
		dir = arena_strndup(a, cert_path,
		    strlen(cert_path) - strlen("/current/" CERT_FILE));
		if (strncmp(dir, key_path, strlen(dir)) != 0 ||
		    strcmp(key_path + strlen(dir), "/current/" KEY_FILE)) {
			*out_why = "cert_path and key_path name the current "
				   "link of two different directories";
			return RC_INVALID;
		}
	} else {
		dir = arena_printf(a, "%.*s/.certctl-%s",
		    (int)(slash - cert_path), cert_path, slash + 1);
	}
	p.dir = dir;
	*out = p;
	return RC_OK;
}

rc
install_open(struct arena *a, const struct install_paths *p, int *out_fd,
    const char **out_why)
{
	return safedir_open_within(a, p->dir, p->bounds, out_fd, out_why);
}

/* Opens a directory below an open one, never by way of a link. */
static int
open_below(int dir_fd, const char *name)
{
	return openat(dir_fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

rc
install_open_versions(struct arena *a, const struct install_paths *p,
    int *out_fd, const char **out_why)
{
	return safedir_open_within(a, arena_printf(a, "%s/v", p->dir),
	    p->bounds, out_fd, out_why);
}

rc
install_remove_version(int v_fd, const char *version)
{
	static const char *const ours[] = {KEY_FILE, CERT_FILE, CHAIN_FILE,
	    KEY_FILE ".tmp", CERT_FILE ".tmp", CHAIN_FILE ".tmp"};
	int fd = open_below(v_fd, version);

	if (fd < 0)
		return errno == ENOENT ? RC_OK : RC_IO;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		(void)unlinkat(fd, ours[i], 0); /* few of them are there */
	close(fd);
	/* which fails while any file is left */
	return unlinkat(v_fd, version, AT_REMOVEDIR) == 0 ? RC_OK : RC_IO;
}

rc
install_open_above(struct arena *a, const struct install_paths *p, int *out_fd,
    const char **out_why)
{
	const char *slash = strrchr(p->dir, '/');
	const char *parent = slash == p->dir ? "/"
					     : arena_strndup(a, p->dir,
						   (size_t)(slash - p->dir));

	return safedir_open_within(a, parent, p->bounds, out_fd, out_why);
}

/* T where it is missing, for its parent need not lie within the bounds. */
static rc
make_dir(struct arena *a, const struct install_paths *p, const char **out_why)
{
	int fd;
	rc ret;

	ret = install_open_above(a, p, &fd, out_why);
	if (ret != RC_OK)
		return ret;
	ret = files_mkdir(fd, strrchr(p->dir, '/') + 1, 0755);
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot make", p->dir);
	close(fd);
	return ret;
}

static rc
make_dirs(struct arena *a, const struct install_paths *p, const char **out_why)
{
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret == RC_NOT_FOUND) {
		ret = make_dir(a, p, out_why);
		if (ret == RC_OK)
			ret = install_open(a, p, &fd, out_why);
	}
	if (ret != RC_OK)
		return ret;
	ret = files_mkdir(fd, "v", 0755);
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot make v in", p->dir);
	close(fd);
	return ret;
}

/* What a copy is to look like is never the target's to say: whoever edits
 * targets would read the host's keys. */
static const struct target_file *
wanted(const struct target_file *want, const struct stat *look)
{
	static const struct target_file as_it_was = {.mode = -1};

	return look ? &as_it_was : want;
}

static rc
write_pair(struct arena *a, int fd, const struct install_paths *p,
    const struct pair *pair, const char **out_why)
{
	rc ret;

	ret = look_write(a, fd, KEY_FILE, pair->key, pair->key_len,
	    wanted(&p->key, pair->key_look), p->key_path, pair->key_look, 0600,
	    out_why);
	if (ret == RC_OK)
		ret = look_write(a, fd, CERT_FILE, pair->fullchain,
		    strlen(pair->fullchain), wanted(&p->cert, pair->cert_look),
		    p->cert_path, pair->cert_look, 0644, out_why);
	if (ret == RC_OK && pair->chain)
		ret = look_write(a, fd, CHAIN_FILE, pair->chain,
		    strlen(pair->chain), wanted(&p->chain, pair->chain_look),
		    p->chain_path, pair->chain_look, 0644, out_why);
	return ret;
}

static rc
write_version(struct arena *a, int v_fd, const struct install_paths *p,
    const char *version, const struct pair *pair, const char **out_why)
{
	const char *temp = arena_printf(a, "%s.tmp", version);
	int fd;
	rc ret;

	if (install_remove_version(v_fd, temp) != RC_OK ||
	    mkdirat(v_fd, temp, 0755) != 0)
		return install_fail(a, out_why, "cannot make", temp);
	fd = open_below(v_fd, temp);
	if (fd < 0)
		return install_fail(a, out_why, "cannot open", temp);
	ret = write_pair(a, fd, p, pair, out_why);
	if (ret == RC_OK && fsync(fd) != 0)
		ret = install_fail(a, out_why, "cannot sync", temp);
	close(fd);
	fault_point("agent.install.written");
	if (ret == RC_OK && renameat(v_fd, temp, v_fd, version) != 0)
		ret = install_fail(a, out_why, "cannot rename to", version);
	if (ret != RC_OK) /* what is left goes before the next */
		IGNORE_RESULT(install_remove_version(v_fd, temp));
	if (ret == RC_OK && fsync(v_fd) != 0)
		ret = install_fail(a, out_why, "cannot sync v in", p->dir);
	return ret;
}

static bool
has_both(int fd)
{
	return faccessat(fd, CERT_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	       faccessat(fd, KEY_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
is_whole(int v_fd, const char *version)
{
	int fd = open_below(v_fd, version);
	bool is_so = fd >= 0 && has_both(fd);

	if (fd >= 0)
		close(fd);
	return is_so;
}

rc
install_write_version(struct arena *a, const struct install_paths *p,
    const char *version, const struct pair *pair, const char **out_why)
{
	int v_fd;
	rc ret;

	if (!is_version_name(version)) {
		*out_why = arena_printf(a,
		    "\"%s\" cannot be the name of a version", version);
		return RC_INVALID;
	}
	ret = make_dirs(a, p, out_why);
	if (ret == RC_OK)
		ret = install_open_versions(a, p, &v_fd, out_why);
	if (ret != RC_OK)
		return ret;
	/* One that is there was renamed into place whole; half of one is left
	 * of a removal that was cut off. */
	if (!is_whole(v_fd, version)) {
		ret = install_remove_version(v_fd, version);
		if (ret == RC_OK)
			ret = write_version(a, v_fd, p, version, pair, out_why);
		else
			ret = install_fail(a, out_why, "cannot make", version);
	}
	close(v_fd);
	return ret;
}

rc
install_stage(struct arena *a, const struct install_paths *p,
    const char *version, const char *fullchain, const struct secret *key_pem,
    const char **out_why)
{
	const char *chain = strstr(fullchain, PEM_END);
	struct pair pair = {.fullchain = fullchain,
	    .key = (const char *)secret_bytes(key_pem),
	    .key_len = secret_len(key_pem)};

	if (chain) {
		chain += strlen(PEM_END);
		pair.chain = chain + strspn(chain, "\r\n");
	}
	return install_write_version(a, p, version, &pair, out_why);
}

rc
install_current(struct arena *a, const struct install_paths *p,
    const char **out)
{
	char target[PATH_MAX];
	const char *why;
	ssize_t n;
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, &why);
	if (ret == RC_NOT_FOUND) {
		*out = "";
		return RC_OK;
	}
	if (ret != RC_OK)
		return ret;
	n = readlinkat(fd, "current", target, sizeof(target) - 1);
	close(fd);
	if (n < 0 && errno != ENOENT)
		return RC_IO;
	*out = n < 0 ? "" : arena_strndup(a, target, (size_t)n);
	/* Somebody's own "current", which leads to something of theirs. */
	if (n >= 0 &&
	    (strncmp(*out, "v/", 2) != 0 || !is_version_name(*out + 2)))
		return RC_CONFLICT;
	return RC_OK;
}

bool
install_is_adopted(const char *target)
{
	return strcmp(target, "v/" ADOPTED) == 0;
}

rc
install_point(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why)
{
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret != RC_OK)
		return ret;
	ret = files_symlink(fd, target, "current", ".certctl-new");
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot switch current in",
		    p->dir);
	close(fd);
	return ret;
}

/* The directory behind "v/<version>". */
static rc
open_target(struct arena *a, const struct install_paths *p, const char *target,
    int *out_fd, const char **out_why)
{
	int v_fd, fd;
	rc ret;

	if (strncmp(target, "v/", 2) != 0 || !is_version_name(target + 2)) {
		*out_why = arena_printf(a, "\"%s\" names no version", target);
		return RC_INVALID;
	}
	ret = install_open_versions(a, p, &v_fd, out_why);
	if (ret != RC_OK)
		return ret;
	fd = open_below(v_fd, target + 2);
	if (fd < 0)
		ret =
		    install_fail(a, out_why, "cannot open version", target + 2);
	close(v_fd);
	if (ret == RC_OK)
		*out_fd = fd;
	return ret;
}

rc
install_check_whole(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why)
{
	int fd;
	rc ret;

	ret = open_target(a, p, target, &fd, out_why);
	if (ret != RC_OK)
		return ret;
	if (!has_both(fd))
		ret = install_fail(a, out_why, "not whole:", target);
	close(fd);
	return ret;
}

bool
install_is_usable(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_fingerprint)
{
	struct cert_info info;
	const char *why;
	size_t len;
	char *pem;
	X509 *x;
	rc ret;
	int fd;

	*out_fingerprint = "";
	if (open_target(a, p, target, &fd, &why) != RC_OK)
		return false;
	ret = faccessat(fd, KEY_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0
		  ? files_read(a, fd, CERT_FILE, PAIR_MAX, &pem, &len)
		  : RC_NOT_FOUND;
	close(fd);
	if (ret == RC_OK)
		ret = cert_from_pem(pem, len, &x);
	if (ret != RC_OK)
		return false;
	ret = cert_read(a, x, &info);
	X509_free(x);
	if (ret != RC_OK)
		return false;
	*out_fingerprint = arena_strdup(a, info.fingerprint_sha256);
	return info.not_after_unix > clock_wall_us() / 1000000;
}

struct version {
	char name[NAME_MAX + 1];
	struct timespec made;
};

static int
version_newer(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	if (x->made.tv_sec != y->made.tv_sec)
		return x->made.tv_sec > y->made.tv_sec ? -1 : 1;
	return strcmp(y->name, x->name);
}

/* By its name: somebody may have a v of his own. */
static bool
is_ours(const char *name)
{
	return strncmp(name, "certver-", 8) == 0 ||
	       strncmp(name, ADOPTED, strlen(ADOPTED)) == 0;
}

/* Directories of versions; those of a run that was cut off are removed, for
 * there is one caller a directory. */
static size_t
list_versions(int v_fd, struct version **out)
{
	struct version *all = NULL;
	struct dirent *e;
	struct stat st;
	size_t n = 0;
	int fd = open_below(v_fd, ".");
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	*out = NULL;
	if (!d) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((e = readdir(d)) != NULL && n < 1000) {
		if (!is_ours(e->d_name) ||
		    fstatat(v_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (text_ends_with(e->d_name, ".tmp")) {
			IGNORE_RESULT(install_remove_version(v_fd, e->d_name));
			continue;
		}
		all = mem_realloc(all, n + 1, sizeof(*all));
		memcpy(all[n].name, e->d_name, strlen(e->d_name) + 1);
		all[n++].made = st.st_mtim;
	}
	closedir(d);
	*out = all;
	return n;
}

void
install_prune(struct arena *a, const struct install_paths *p,
    const char *current, const char *previous, size_t keep)
{
	char link[NAME_MAX + 3];
	struct version *all;
	const char *why;
	size_t n;
	int v_fd;

	if (install_open_versions(a, p, &v_fd, &why) != RC_OK)
		return;
	n = list_versions(v_fd, &all);
	if (n > 1)
		qsort(all, n, sizeof(*all), version_newer);
	for (size_t i = keep; i < n; i++) {
		snprintf(link, sizeof(link), "v/%s", all[i].name);
		if (strcmp(link, current) != 0 && strcmp(link, previous) != 0)
			/* what is left is pruned by the next */
			IGNORE_RESULT(
			    install_remove_version(v_fd, all[i].name));
	}
	free(all);
	close(v_fd);
}
