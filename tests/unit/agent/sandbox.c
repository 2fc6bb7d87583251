#include "tests/unit/agent/sandbox.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/secret.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/key/key.h"

static const char *place = "/tmp";
static char dir[64];
static struct arena *arena;

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void
sandbox_remove(void)
{
	if (dir[0])
		(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	arena_free(arena);
	arena = NULL;
	dir[0] = '\0';
}

struct arena *
sandbox_new(void)
{
	static bool is_known;

	if (!is_known && atexit(sandbox_remove) != 0)
		errx(1, "atexit");
	is_known = true;
	sandbox_remove();
	snprintf(dir, sizeof(dir), "%s/cc-unit-XXXXXX", place);
	if (!mkdtemp(dir))
		err(1, "mkdtemp");
	arena = arena_new();
	return arena;
}

void
sandbox_in_memory(void)
{
	if (access("/dev/shm", W_OK | X_OK) == 0)
		place = "/dev/shm";
}

const char *
sandbox_path(const char *name)
{
	return arena_printf(arena, "%s/%s", dir, name);
}

void
sandbox_put(const char *name, const char *text)
{
	FILE *f = fopen(sandbox_path(name), "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		err(1, "%s", name);
}

const char *
sandbox_get(const char *name)
{
	char text[65536];
	ssize_t n;
	int fd;

	fd = open(sandbox_path(name), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n < 0 ? NULL : arena_strndup(arena, text, (size_t)n);
}

const char *
sandbox_link(const char *name)
{
	char text[PATH_MAX];
	ssize_t n = readlink(sandbox_path(name), text, sizeof(text));

	return n < 0 ? NULL : arena_strndup(arena, text, (size_t)n);
}

bool
sandbox_has(const char *name)
{
	struct stat st;

	return lstat(sandbox_path(name), &st) == 0;
}

mode_t
sandbox_mode(const char *name)
{
	struct stat st;

	if (stat(sandbox_path(name), &st) != 0)
		err(1, "%s", name);
	return st.st_mode & 07777;
}

size_t
sandbox_count(const char *name)
{
	DIR *d = opendir(sandbox_path(name));
	size_t n = 0;

	if (!d)
		err(1, "%s", name);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

int
sandbox_dir_fd(const char *name)
{
	const char *path = sandbox_path(name);
	int fd;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		err(1, "%s", name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", name);
	return fd;
}

void
sandbox_limit_writes(size_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
		err(1, "getrlimit");
	(void)signal(SIGXFSZ, SIG_IGN); /* the write fails instead */
	limit.rlim_cur = bytes ? (rlim_t)bytes : limit.rlim_max;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		err(1, "setrlimit");
}

void
sandbox_pair(long not_after_unix, const char **out_cert, const char **out_key)
{
	unsigned char *der = NULL;
	struct secret *pem;
	EVP_PKEY *key;
	char *text;
	X509 *x;
	int n;

	if (certbuild_root("sandbox", 1000000000, not_after_unix, &x, &key) !=
	    RC_OK)
		errx(1, "certbuild_root");
	n = i2d_X509(x, &der);
	if (n <= 0 || cert_to_pem(arena, der, (size_t)n, &text) != RC_OK)
		errx(1, "cert_to_pem");
	*out_cert = text;
	if (key_to_pem(key, &pem) != RC_OK)
		errx(1, "key_to_pem");
	*out_key = arena_strndup(arena, (const char *)secret_bytes(pem),
	    secret_len(pem));
	secret_free(pem);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
}
