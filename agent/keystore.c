#include "agent/keystore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/files.h"
#include "common/base/fault.h"
#include "common/log/log.h"
#include "common/pki/key/key.h"

#define KEY_MAX 16384
#define VERSION_PREFIX "certver"
#define MARK_AGE_S (7 * 86400)

/* Ids come from the server and become file names. */
static bool
is_file_name(const char *id)
{
	size_t n = strlen(id);

	return n > 0 && n <= 128 && id[0] != '.' &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			  "0123456789._-") == n;
}

static rc
name_of(const char *job, const char *end, char out[160])
{
	if (!is_file_name(job))
		return RC_INVALID;
	snprintf(out, 160, "%s%s", job, end);
	return RC_OK;
}

static rc
read_pem(struct agent *a, const char *name, struct secret **out)
{
	struct arena *scratch = arena_new();
	char *text = NULL;
	size_t len = 0;
	rc r;

	r = files_read(scratch, a->key_dir_fd, name, KEY_MAX, &text, &len);
	if (r == RC_OK) {
		*out = secret_new(text, len);
		OPENSSL_cleanse(text, len);
	}
	arena_free(scratch);
	return r;
}

static rc
make_key(struct agent *a, const char *name, EVP_PKEY **out)
{
	struct secret *pem;
	EVP_PKEY *key;
	rc r;

	r = key_new_p256(&key);
	if (r != RC_OK)
		return r;
	r = key_to_pem(key, &pem);
	if (r != RC_OK) {
		EVP_PKEY_free(key);
		return r;
	}
	r = files_write(a->key_dir_fd, name, secret_bytes(pem), secret_len(pem),
	    0600);
	secret_free(pem);
	if (r != RC_OK) {
		EVP_PKEY_free(key);
		return r;
	}
	fault_point("agent.key.stored");
	*out = key;
	return RC_OK;
}

rc
keystore_key(struct agent *a, const char *job, EVP_PKEY **out)
{
	struct secret *pem;
	char name[160];
	rc r;

	r = name_of(job, ".key", name);
	if (r != RC_OK)
		return r;
	r = read_pem(a, name, &pem);
	if (r == RC_NOT_FOUND)
		return make_key(a, name, out);
	if (r != RC_OK)
		return r;
	r = key_from_pem(secret_bytes(pem), secret_len(pem), out);
	secret_free(pem);
	return r;
}

/* "certver-x" -> "job-x" and an ending, as a file name. */
static rc
job_file_of_version(const char *version, const char *end, char out[160])
{
	char job[160];

	if (strncmp(version, VERSION_PREFIX "-", strlen(VERSION_PREFIX) + 1))
		return RC_INVALID;
	snprintf(job, sizeof(job), "job%s", version + strlen(VERSION_PREFIX));
	return name_of(job, end, out);
}

rc
keystore_pem_of_version(struct agent *a, const char *version,
    struct secret **out)
{
	char name[160];
	rc r;

	r = job_file_of_version(version, ".key", name);
	if (r != RC_OK)
		return r;
	return read_pem(a, name, out);
}

rc
keystore_mark(struct agent *a, const char *job, const char *csr_pem)
{
	char name[160];
	rc r;

	r = name_of(job, ".csr", name);
	if (r != RC_OK)
		return r;
	return files_write(a->key_dir_fd, name, csr_pem, strlen(csr_pem), 0600);
}

void
keystore_installed(struct agent *a, const char *version)
{
	char name[160];

	if (job_file_of_version(version, ".csr", name) == RC_OK &&
	    files_remove(a->key_dir_fd, name) != RC_OK)
		log_warn("KEY-MARK", "cannot remove %s: %s", name,
		    strerror(errno));
}

bool
keystore_has_unfinished(struct agent *a)
{
	time_t old = time(NULL) - MARK_AGE_S;
	struct dirent *e;
	struct stat st;
	bool found = false;
	DIR *d;
	int fd;

	fd = openat(a->key_dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return false;
	}
	while (!found && (e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name);

		if (n <= 4 || strcmp(e->d_name + n - 4, ".csr") != 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		/* A job that was cancelled at the server leaves its mark. */
		if (st.st_mtime < old)
			(void)unlinkat(dirfd(d), e->d_name, 0);
		else
			found = true;
	}
	closedir(d);
	return found;
}

void
keystore_forget(struct agent *a, const char *job)
{
	char name[160];

	if (name_of(job, ".csr", name) != RC_OK)
		return;
	IGNORE_RESULT(
	    files_remove(a->key_dir_fd, name)); /* found again at a start */
	if (name_of(job, ".key", name) == RC_OK)
		IGNORE_RESULT(files_remove(a->key_dir_fd, name));
}
