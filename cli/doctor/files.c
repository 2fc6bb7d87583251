#include "cli/doctor/files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

#include "cli/doctor/api.h"

enum {
	FREE_WARNING_PART = 10, /* a tenth */
	FREE_ERROR_PART = 50,
	MIB = 1024 * 1024,
	ROOM_LEAST = 100 * MIB, /* of journals: hours of work */
};

/* --- judgements --- */

void
files_judge_key(struct doctor *d, const char *name, const char *what,
    const char *path, mode_t mode)
{
	if (!S_ISREG(mode))
		doctor_say(d, DOCTOR_ERROR, DOCTOR_key_file, name,
		    "%s: %s is no plain file", what, path);
	else if (mode & (S_IRWXO | S_IWGRP))
		doctor_say(d, DOCTOR_ERROR, DOCTOR_key_file, name,
		    "%s: %s may be %s by others (mode %04o)", what, path,
		    mode & S_IROTH ? "read" : "changed",
		    (unsigned)(mode & 07777));
	else if (mode & S_IRWXG)
		doctor_say(d, DOCTOR_WARNING, DOCTOR_key_file, name,
		    "%s: %s may be read by its group (mode %04o)", what, path,
		    (unsigned)(mode & 07777));
	else
		doctor_say(d, DOCTOR_OK, DOCTOR_key_file, name,
		    "%s: %s is its owner's alone", what, path);
}

void
files_judge_directory(struct doctor *d, const char *name, const char *what,
    const char *path, mode_t mode, bool is_private)
{
	mode_t bad = is_private ? S_IRWXG | S_IRWXO : S_IWGRP | S_IWOTH;

	if (!S_ISDIR(mode))
		doctor_say(d, DOCTOR_ERROR, DOCTOR_directory, name,
		    "%s: %s is no directory", what, path);
	else if (mode & bad)
		doctor_say(d,
		    mode & S_IWOTH || is_private ? DOCTOR_ERROR
						 : DOCTOR_WARNING,
		    DOCTOR_directory, name,
		    "%s: others may get into %s (mode %04o)", what, path,
		    (unsigned)(mode & 07777));
	else
		doctor_say(d, DOCTOR_OK, DOCTOR_directory, name,
		    "%s: only its owner writes to %s", what, path);
}

void
files_judge_disk(struct doctor *d, const char *path, uint64_t bytes_free,
    uint64_t bytes, uint64_t inodes_free, uint64_t inodes)
{
	/* A file system may have no fixed number of files. */
	bool few = inodes > 0 && inodes_free < inodes / FREE_ERROR_PART;
	enum doctor_level level = DOCTOR_OK;

	if (bytes_free < ROOM_LEAST || bytes_free < bytes / FREE_ERROR_PART ||
	    few)
		level = DOCTOR_ERROR;
	else if (bytes_free < bytes / FREE_WARNING_PART)
		level = DOCTOR_WARNING;
	doctor_say(d, level, DOCTOR_disk, path,
	    "%" PRIu64 " MiB of %" PRIu64 " are free%s", bytes_free / MIB,
	    bytes / MIB, few ? ", and hardly a file can be made" : "");
}

/* --- looking --- */

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), e = strlen(end);

	return n >= e && strcmp(text + n - e, end) == 0;
}

static bool
seen(struct doctor *d, enum doctor_check check, const char *name,
    const char *what, const char *path, struct stat *out)
{
	if (stat(path, out) == 0)
		return true;
	doctor_say(d, errno == EACCES ? DOCTOR_UNSEEN : DOCTOR_ERROR, check,
	    name, "%s: %s can't be looked at: %s", what, path, strerror(errno));
	return false;
}

static void
look_at_key(struct doctor *d, const char *name, const char *what,
    const char *path)
{
	struct stat st;

	if (seen(d, DOCTOR_key_file, name, what, path, &st))
		files_judge_key(d, name, what, path, st.st_mode);
}

static void
look_at_directory(struct doctor *d, const char *name, const char *what,
    const char *path)
{
	bool is_private =
	    ends_with(what, "_KEY_DIR") || ends_with(what, "_STATE_DIR");
	struct statvfs fs;
	struct stat st;

	if (!seen(d, DOCTOR_directory, name, what, path, &st))
		return;
	files_judge_directory(d, name, what, path, st.st_mode, is_private);
	if (!is_private && !ends_with(what, "_JOURNAL_DIR"))
		return; /* it is only read from */
	if (statvfs(path, &fs) == 0)
		files_judge_disk(d, path, (uint64_t)fs.f_bavail * fs.f_frsize,
		    (uint64_t)fs.f_blocks * fs.f_frsize, fs.f_favail,
		    fs.f_files);
	else
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_disk, path,
		    "its room can't be asked for: %s", strerror(errno));
}

static bool
unix_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = timegm(&tm);
	return true;
}

/* The first of the file; only of a plain one, for others may never end. */
static X509 *
read_certificate(const char *path)
{
	struct stat st;
	BIO *in = NULL;
	X509 *x = NULL;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		in = BIO_new_file(path, "r");
	if (in)
		x = PEM_read_bio_X509(in, NULL, NULL, NULL);
	BIO_free(in);
	return x;
}

static void
look_at_certificate(struct doctor *d, const char *name, const char *what,
    const char *path, int64_t now)
{
	const char *subject = arena_printf(d->arena, "%s %s", name, what);
	X509 *x = read_certificate(path);
	bool may_read = access(path, R_OK) == 0 || errno != EACCES;
	int64_t begins, ends;

	if (x && unix_time(X509_get0_notBefore(x), &begins) &&
	    unix_time(X509_get0_notAfter(x), &ends))
		doctor_check_end(d, DOCTOR_certificate_file, subject, begins,
		    ends, now);
	else
		doctor_say(d, may_read ? DOCTOR_ERROR : DOCTOR_UNSEEN,
		    DOCTOR_certificate_file, subject, "%s %s", path,
		    may_read ? "is no file that holds a certificate in PEM"
			     : "can't be read");
	X509_free(x);
}

/* What a setting of a path is by its name. */
static void
look_at_path(struct doctor *d, const char *name, const char *what,
    const char *path, int64_t now)
{
	if (ends_with(what, "_DIR"))
		look_at_directory(d, name, what, path);
	else if (ends_with(what, "_KEY") || ends_with(what, "_KEY_PATH"))
		look_at_key(d, name, what, path);
	else if (ends_with(what, "_CERT") || ends_with(what, "_CERT_PATH") ||
		 ends_with(what, "_BUS_CA"))
		look_at_certificate(d, name, what, path, now);
}

/* Of a path as its process has it, ours. */
static const char *
path_of(struct doctor *d, const struct host_process *p, const char *path)
{
	return path[0] == '/'
		   ? path
		   : arena_printf(d->arena, "/proc/%d/cwd/%s", p->pid, path);
}

static void
look_at_keys(struct doctor *d, const struct host_process *p, const char *what,
    const char *const *paths)
{
	for (; *paths; paths++)
		look_at_key(d, p->name, what, path_of(d, p, *paths));
}

/* NAME_FILE of a secret. */
static void
look_at_secret(struct doctor *d, const struct host_process *p,
    const char *variable)
{
	const char *what = arena_printf(d->arena, "%s_FILE", variable);
	const char *path = host_variable(p, what);

	if (path && path[0])
		look_at_key(d, p->name, what, path_of(d, p, path));
}

static void
check_process(struct doctor *d, const struct host_process *p, int64_t now)
{
	size_t n;
	const struct cfg_key *keys = host_keys(p->role, &n);

	for (size_t i = 0; i < n; i++) {
		const struct cfg_key *k = &keys[i];

		if (k->flags & CFG_SECRET)
			look_at_secret(d, p, k->env);
		else if (k->type == CFG_LIST && ends_with(k->env, "_KEYS"))
			look_at_keys(d, p, k->env, cfg_list(p->cfg, k->name));
		else if (k->type == CFG_PATH && cfg_str(p->cfg, k->name)[0])
			look_at_path(d, p->name, k->env,
			    path_of(d, p, cfg_str(p->cfg, k->name)), now);
	}
}

void
doctor_check_files(struct doctor *d, const struct host *h, int64_t now)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->all[i].cfg)
			check_process(d, &h->all[i], now);
	}
}
