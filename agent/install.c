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
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/pki/cert/cert.h"

#define CERT_FILE "fullchain.pem"
#define CHAIN_FILE "chain.pem"
#define KEY_FILE "privkey.pem"
#define PEM_END "-----END CERTIFICATE-----"
#define PAIR_MAX (256 * 1024)

static rc
fail(struct arena *a, const char **out_why, const char *what, const char *path)
{
	*out_why = arena_printf(a, "%s %s: %s", what, path, strerror(errno));
	return RC_IO;
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* One spelling a path, since directories are told apart by it. */
static bool
is_plain_absolute(const char *path)
{
	return path[0] == '/' && path[1] != '\0' && !strstr(path, "//") &&
	       !strstr(path, "/./") && !strstr(path, "/../") &&
	       !ends_with(path, "/..") && !ends_with(path, "/.") &&
	       !ends_with(path, "/") && strlen(path) < INSTALL_PATH_MAX;
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
	    .cert_mode = 0644,
	    .key_mode = 0600};
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
	if (ends_with(cert_path, "/current/" CERT_FILE) &&
	    ends_with(key_path, "/current/" KEY_FILE) &&
	    strlen(cert_path) > strlen("/current/" CERT_FILE)) {
		dir = arena_strndup(a, cert_path,
		    strlen(cert_path) - strlen("/current/" CERT_FILE));
		if (strncmp(dir, key_path, strlen(dir)) != 0 ||
		    strcmp(key_path + strlen(dir), "/current/" KEY_FILE)) {
			*out_why = "cert_path and key_path name the current "
				   "link of two different directories";
			return RC_INVALID;
		}
		p.is_direct = true;
	} else {
		dir = arena_printf(a, "%.*s/.certctl-%s",
		    (int)(slash - cert_path), cert_path, slash + 1);
	}
	p.dir = dir;
	*out = p;
	return RC_OK;
}

static const char *
in_dir(struct arena *a, const struct install_paths *p, const char *rest)
{
	return arena_printf(a, "%s/%s", p->dir, rest);
}

static void
remove_version(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	(void)rmdir(path); /* what is left is said by the next write */
}

static rc
write_pair(const char *path, const struct install_paths *p,
    const char *fullchain, const void *key, size_t key_len)
{
	const char *chain = strstr(fullchain, PEM_END);
	int fd;
	rc ret;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return RC_IO;
	ret = files_write(fd, KEY_FILE, key, key_len, p->key_mode);
	if (ret == RC_OK)
		ret = files_write(fd, CERT_FILE, fullchain, strlen(fullchain),
		    p->cert_mode);
	if (ret == RC_OK && chain) {
		chain += strlen(PEM_END);
		chain += strspn(chain, "\r\n");
		ret = files_write(fd, CHAIN_FILE, chain, strlen(chain),
		    p->cert_mode);
	}
	close(fd);
	return ret;
}

static rc
make_dirs(struct arena *a, const struct install_paths *p, const char **out_why)
{
	rc ret;

	ret = files_mkdir(p->dir, 0755);
	if (ret != RC_OK)
		return fail(a, out_why, "cannot make", p->dir);
	ret = files_mkdir(in_dir(a, p, "v"), 0755);
	if (ret != RC_OK)
		return fail(a, out_why, "cannot make", in_dir(a, p, "v"));
	return RC_OK;
}

static rc
stage(struct arena *a, const struct install_paths *p, const char *version,
    const char *fullchain, const void *key, size_t key_len,
    const char **out_why)
{
	const char *final = arena_printf(a, "%s/v/%s", p->dir, version);
	const char *temp = arena_printf(a, "%s.tmp", final);
	struct stat st;
	rc ret;

	if (!is_version_name(version)) {
		*out_why = arena_printf(a,
		    "\"%s\" cannot be the name of a version", version);
		return RC_INVALID;
	}
	ret = make_dirs(a, p, out_why);
	if (ret != RC_OK)
		return ret;
	if (stat(final, &st) == 0)
		return RC_OK; /* it was renamed into place whole */
	remove_version(temp);
	if (mkdir(temp, 0755) != 0)
		return fail(a, out_why, "cannot make", temp);
	ret = write_pair(temp, p, fullchain, key, key_len);
	if (ret == RC_OK)
		ret = files_sync_dir(temp);
	if (ret != RC_OK) {
		ret = fail(a, out_why, "cannot write into", temp);
		remove_version(temp);
		return ret;
	}
	fault_point("agent.install.written");
	if (rename(temp, final) != 0) {
		ret = fail(a, out_why, "cannot rename to", final);
		remove_version(temp);
		return ret;
	}
	ret = files_sync_dir(in_dir(a, p, "v"));
	if (ret != RC_OK)
		return fail(a, out_why, "cannot sync", in_dir(a, p, "v"));
	return RC_OK;
}

rc
install_stage(struct arena *a, const struct install_paths *p,
    const char *version, const char *fullchain, const struct secret *key_pem,
    const char **out_why)
{
	return stage(a, p, version, fullchain, secret_bytes(key_pem),
	    secret_len(key_pem), out_why);
}

rc
install_current(struct arena *a, const struct install_paths *p,
    const char **out)
{
	char target[PATH_MAX];
	ssize_t n;

	n = readlink(in_dir(a, p, "current"), target, sizeof(target) - 1);
	if (n < 0 && errno != ENOENT && errno != ENOTDIR)
		return RC_IO;
	*out = n < 0 ? "" : arena_strndup(a, target, (size_t)n);
	return RC_OK;
}

/* A configured path as a link to the file behind T/current.  A path that is
 * T/current/<file> itself needs none. */
static rc
link_path(struct arena *a, const struct install_paths *p, const char *path,
    const char *file, const char **out_why)
{
	const char *want = arena_printf(a, "%s/current/%s", p->dir, file);
	char have[PATH_MAX];
	ssize_t n;
	rc ret;

	if (strcmp(path, want) == 0)
		return RC_OK;
	n = readlink(path, have, sizeof(have) - 1);
	if (n > 0 && (size_t)n == strlen(want) &&
	    memcmp(have, want, (size_t)n) == 0)
		return RC_OK;
	ret = files_symlink(want, path);
	if (ret != RC_OK)
		return fail(a, out_why, "cannot link", path);
	return RC_OK;
}

static rc
link_paths(struct arena *a, const struct install_paths *p, const char **out_why)
{
	rc ret = RC_OK;

	if (!p->is_direct) {
		ret = link_path(a, p, p->cert_path, CERT_FILE, out_why);
		if (ret == RC_OK)
			ret = link_path(a, p, p->key_path, KEY_FILE, out_why);
	}
	if (ret == RC_OK && p->chain_path)
		ret = link_path(a, p, p->chain_path, CHAIN_FILE, out_why);
	return ret;
}

rc
install_adopt(struct arena *a, const struct install_paths *p,
    const char **out_why)
{
	const char *current;
	char *cert, *key;
	size_t cert_len, key_len;
	rc ret;

	if (p->is_direct)
		return RC_OK;
	ret = install_current(a, p, &current);
	if (ret != RC_OK)
		return fail(a, out_why, "cannot read", p->dir);
	/* An adoption that was cut off between its two links: both must be
	 * links before current moves, or the next version would be seen with
	 * the old key. */
	if (current[0] != '\0')
		return link_paths(a, p, out_why);
	/* A missing or an oversized file is not a pair to adopt; it is
	 * replaced all the same, once the new version is current.  A link to
	 * elsewhere is followed: what it serves now is what to go back to. */
	if (files_read_path(a, p->cert_path, PAIR_MAX, &cert, &cert_len) !=
	    RC_OK)
		return RC_OK;
	if (files_read_path(a, p->key_path, PAIR_MAX, &key, &key_len) != RC_OK)
		return RC_OK;
	ret = stage(a, p, "adopted", cert, key, key_len, out_why);
	mem_wipe(key, key_len);
	if (ret != RC_OK)
		return ret;
	return install_switch(a, p, "v/adopted", out_why);
}

rc
install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why)
{
	rc ret;

	ret = files_symlink(target, in_dir(a, p, "current"));
	if (ret != RC_OK)
		return fail(a, out_why, "cannot switch",
		    in_dir(a, p, "current"));
	return link_paths(a, p, out_why);
}

bool
install_is_usable(struct arena *a, const struct install_paths *p,
    const char *target)
{
	struct cert_info info;
	char *pem;
	size_t len;
	X509 *x;
	rc ret;

	if (target[0] == '\0' ||
	    access(arena_printf(a, "%s/%s/" KEY_FILE, p->dir, target), F_OK))
		return false;
	ret = files_read(a, AT_FDCWD,
	    arena_printf(a, "%s/%s/" CERT_FILE, p->dir, target), PAIR_MAX, &pem,
	    &len);
	if (ret != RC_OK)
		return false;
	ret = cert_from_pem(pem, len, &x);
	if (ret != RC_OK)
		return false;
	ret = cert_read(a, x, &info);
	X509_free(x);
	return ret == RC_OK && info.not_after_unix > clock_wall_us() / 1000000;
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

void
install_prune(const struct install_paths *p, const char *current,
    const char *previous, size_t keep)
{
	struct version *all = NULL;
	char path[PATH_MAX];
	struct dirent *e;
	struct stat st;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/v", p->dir);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)) != NULL && n < 1000) {
		if (e->d_name[0] == '.' ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (ends_with(e->d_name, ".tmp")) {
			/* One caller a directory: of a run that was cut off. */
			snprintf(path, sizeof(path), "%s/v/%s", p->dir,
			    e->d_name);
			remove_version(path);
			continue;
		}
		all = mem_realloc(all, n + 1, sizeof(*all));
		memcpy(all[n].name, e->d_name, strlen(e->d_name) + 1);
		all[n++].made = st.st_mtim;
	}
	closedir(d);
	if (n > 1)
		qsort(all, n, sizeof(*all), version_newer);
	for (size_t i = keep; i < n; i++) {
		char link[NAME_MAX + 3];

		snprintf(link, sizeof(link), "v/%s", all[i].name);
		if (strcmp(link, current) == 0 || strcmp(link, previous) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/v/%s", p->dir, all[i].name);
		remove_version(path);
	}
	free(all);
}
