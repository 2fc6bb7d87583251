#include "agent/keystore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/safedir.h"
#include "common/base/buf.h"
#include "common/base/enc.h"
#include "common/base/fault.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/pki/key/key.h"

#define KEY ".key"
#define KEY_MAX 16384
#define MARK ".csr"
#define MARK_MAX 65536
#define MARK_RECENT_S (7 * 86400)
#define HOLD ".in-"
#define HOLD_LEN 20 /* with 16 digits */
#define NAME_CAP 160
#define JOB_PREFIX "job"
#define VERSION_PREFIX "certver"

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
name_of(const char *job, const char *end, char out[NAME_CAP])
{
	if (!is_file_name(job))
		return RC_INVALID;
	snprintf(out, NAME_CAP, "%s%s", job, end);
	return RC_OK;
}

static rc
read_pem(struct agent *a, const char *name, struct secret **out)
{
	struct arena *scratch = arena_new();
	char *text = NULL;
	size_t len = 0;
	rc ret;

	ret = files_read(scratch, a->key_dir_fd, name, KEY_MAX, &text, &len);
	if (ret == RC_OK) {
		*out = secret_new(text, len);
		OPENSSL_cleanse(text, len);
	}
	arena_free(scratch);
	return ret;
}

static rc
make_key(struct agent *a, const char *name, EVP_PKEY **out)
{
	struct secret *pem;
	EVP_PKEY *key;
	rc ret;

	ret = key_new_p256(&key);
	if (ret != RC_OK)
		return ret;
	ret = key_to_pem(key, &pem);
	if (ret != RC_OK) {
		EVP_PKEY_free(key);
		return ret;
	}
	ret = files_write(a->key_dir_fd, name, secret_bytes(pem),
	    secret_len(pem), 0600);
	secret_free(pem);
	if (ret != RC_OK) {
		EVP_PKEY_free(key);
		return ret;
	}
	fault_point("agent.key.stored");
	*out = key;
	return RC_OK;
}

rc
keystore_key(struct agent *a, const char *job, EVP_PKEY **out)
{
	struct secret *pem;
	char name[NAME_CAP];
	rc ret;

	ret = name_of(job, KEY, name);
	if (ret != RC_OK)
		return ret;
	ret = read_pem(a, name, &pem);
	if (ret == RC_NOT_FOUND)
		return make_key(a, name, out);
	if (ret != RC_OK)
		return ret;
	ret = key_from_pem(secret_bytes(pem), secret_len(pem), out);
	secret_free(pem);
	return ret;
}

/* "certver-x" -> "job-x" and an ending, as a file name. */
static rc
job_file_of_version(const char *version, const char *end, char out[NAME_CAP])
{
	char job[NAME_CAP];

	if (strncmp(version, VERSION_PREFIX "-", strlen(VERSION_PREFIX) + 1))
		return RC_INVALID;
	snprintf(job, sizeof(job), JOB_PREFIX "%s",
	    version + strlen(VERSION_PREFIX));
	return name_of(job, end, out);
}

rc
keystore_pem_of_version(struct agent *a, const char *version,
    struct secret **out)
{
	char name[NAME_CAP];
	rc ret;

	ret = job_file_of_version(version, KEY, name);
	if (ret != RC_OK)
		return ret;
	return read_pem(a, name, out);
}

/* The mark's first line names the certificate; the request is for people. */
rc
keystore_mark(struct agent *a, const char *job, const char *certificate,
    const char *csr_pem)
{
	char name[NAME_CAP];
	struct buf b;
	rc ret;

	ret = name_of(job, MARK, name);
	if (ret != RC_OK)
		return ret;
	buf_init(&b, 0);
	buf_printf(&b, "%s\n%s", certificate, csr_pem);
	ret = files_write(a->key_dir_fd, name, b.data, b.len, 0600);
	buf_fini(&b);
	return ret;
}

static void
hold_ending(const char *dir, char out[HOLD_LEN + 1])
{
	char hash[65];

	enc_sha256_hex(dir, strlen(dir), hash);
	snprintf(out, HOLD_LEN + 1, HOLD "%.16s", hash);
}

rc
keystore_hold(struct agent *a, const char *version, const char *dir)
{
	char name[NAME_CAP], ending[HOLD_LEN + 1];
	rc ret;

	hold_ending(dir, ending);
	ret = job_file_of_version(version, ending, name);
	if (ret != RC_OK)
		return ret;
	return files_write(a->key_dir_fd, name, dir, strlen(dir), 0600);
}

/* Calls fn for each file of the key directory. */
static void
each_file(struct agent *a,
    void (*fn)(struct agent *a, const char *name, void *arg), void *arg)
{
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(a->key_dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.')
			fn(a, e->d_name, arg);
	}
	closedir(d);
}

/* And has a name in front of it. */
static bool
is_named(const char *s, const char *end)
{
	return text_ends_with(s, end) && strcmp(s, end) != 0;
}

static bool
is_hold(const char *name)
{
	size_t n = strlen(name);

	return n > HOLD_LEN &&
	       memcmp(name + n - HOLD_LEN, HOLD, strlen(HOLD)) == 0;
}

static void
remove_file(struct agent *a, const char *name)
{
	if (files_remove(a->key_dir_fd, name) != RC_OK)
		log_warn("KEY-STORE", "cannot remove %s: %s", name,
		    strerror(errno));
}

/* What still needs the key of one job. */
struct needs {
	const char *job;
	size_t holds;
	bool has_mark;
};

static void
count_need(struct agent *a, const char *name, void *arg)
{
	struct needs *n = arg;
	size_t len = strlen(n->job);

	if (strncmp(name, n->job, len) != 0)
		return;
	if (strcmp(name + len, MARK) == 0)
		n->has_mark = true;
	else if (is_hold(name) && strlen(name) == len + HOLD_LEN)
		n->holds++;
}

static struct needs
needs_of(struct agent *a, const char *job)
{
	struct needs n = {.job = job};

	each_file(a, count_need, &n);
	return n;
}

static void
remove_key(struct agent *a, const char *job)
{
	char name[NAME_CAP];

	if (name_of(job, KEY, name) == RC_OK)
		remove_file(a, name);
}

/* An older request of the same certificate.  The server has one under way at
 * a time, so it ended without a certificate, or with one that was replaced
 * before it came here, or that failed here. */
struct successor {
	const char *certificate;
	char mark[NAME_CAP];
	struct timespec since; /* when its own request was made */
};

static bool
is_older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec
				      : a->tv_nsec < b->tv_nsec;
}

static bool
is_mark_of(struct agent *a, const char *name, const char *certificate)
{
	struct arena *scratch = arena_new();
	size_t len = 0, n = strlen(certificate);
	char *text = NULL;
	bool is_same;

	is_same = files_read(scratch, a->key_dir_fd, name, MARK_MAX, &text,
		      &len) == RC_OK &&
		  len > n && memcmp(text, certificate, n) == 0 &&
		  text[n] == '\n';
	arena_free(scratch);
	return is_same;
}

static void
drop_older(struct agent *a, const char *name, void *arg)
{
	const struct successor *s = arg;
	char job[NAME_CAP];
	struct stat st;

	if (!is_named(name, MARK) || strcmp(name, s->mark) == 0 ||
	    fstatat(a->key_dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !is_older(&st.st_mtim, &s->since) ||
	    !is_mark_of(a, name, s->certificate))
		return;
	snprintf(job, sizeof(job), "%.*s", (int)(strlen(name) - strlen(MARK)),
	    name);
	if (needs_of(a, job).holds == 0)
		remove_key(a, job);
	remove_file(a, name);
}

/* Whether the version has a mark: *out is its name. */
static bool
replace_older(struct agent *a, const char *certificate, const char *version,
    struct successor *out)
{
	struct successor s = {.certificate = certificate};
	struct stat st;

	if (job_file_of_version(version, MARK, s.mark) != RC_OK)
		return false;
	/* Without a mark this was done before. */
	if (fstatat(a->key_dir_fd, s.mark, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	s.since = st.st_mtim;
	each_file(a, drop_older, &s);
	*out = s;
	return true;
}

void
keystore_installed(struct agent *a, const char *certificate,
    const char *version)
{
	struct successor s;

	if (replace_older(a, certificate, version, &s))
		remove_file(a, s.mark);
}

void
keystore_not_installed(struct agent *a, const char *certificate,
    const char *version)
{
	struct successor s;

	IGNORE_RESULT(replace_older(a, certificate, version, &s));
}

/* Whether the versions of that directory can be seen and this is not one. */
static bool
is_gone(int versions_fd, const char *job)
{
	char version[sizeof(VERSION_PREFIX) + NAME_CAP];
	struct stat st;

	snprintf(version, sizeof(version), VERSION_PREFIX "%s",
	    job + strlen(JOB_PREFIX));
	return fstatat(versions_fd, version, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
	       errno == ENOENT;
}

struct release {
	char ending[HOLD_LEN + 1];
	int versions_fd;
};

static void
release_one(struct agent *a, const char *name, void *arg)
{
	const struct release *l = arg;
	char job[NAME_CAP];
	struct needs needs;

	if (!is_named(name, l->ending) ||
	    strncmp(name, JOB_PREFIX, strlen(JOB_PREFIX)) != 0)
		return;
	snprintf(job, sizeof(job), "%.*s", (int)(strlen(name) - HOLD_LEN),
	    name);
	if (!is_gone(l->versions_fd, job))
		return;
	needs = needs_of(a, job);
	if (needs.holds == 1 && !needs.has_mark)
		remove_key(a, job);
	remove_file(a, name);
}

void
keystore_release(struct agent *a, const char *dir)
{
	struct arena *scratch = arena_new();
	struct release l;
	const char *why;
	rc ret;

	/* A directory that can't be seen, or that others may exchange, may
	 * come back with all it held. */
	ret = safedir_open(scratch, arena_printf(scratch, "%s/v", dir),
	    &l.versions_fd, &why);
	arena_free(scratch);
	if (ret != RC_OK)
		return;
	hold_ending(dir, l.ending);
	each_file(a, release_one, &l);
	close(l.versions_fd);
}

static void
find_recent_mark(struct agent *a, const char *name, void *arg)
{
	bool *found = arg;
	struct stat st;

	if (is_named(name, MARK) &&
	    fstatat(a->key_dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtime >= time(NULL) - MARK_RECENT_S)
		*found = true;
}

bool
keystore_has_unfinished(struct agent *a)
{
	bool found = false;

	each_file(a, find_recent_mark, &found);
	return found;
}

void
keystore_forget(struct agent *a, const char *job)
{
	char name[NAME_CAP];

	if (name_of(job, MARK, name) != RC_OK)
		return;
	if (needs_of(a, job).holds == 0)
		remove_key(a, job);
	remove_file(a, name);
}
