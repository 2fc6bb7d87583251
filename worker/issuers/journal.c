#include "worker/issuers/journal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"

#define SERIAL_DIGITS 40
#define SHA256_DIGITS 64
#define ISSUER_ID_MAX 128
#define TRY_BYTES (64 * 1024)
#define TORN " torn torn torn\n"
#define NO_ID "-"
#define BASE64_PART ((size_t)768) /* encoded at once; whole threes */

struct journal {
	char *dir;
	char *path;
	int fd;
	struct buf text; /* kept for its memory */
};

static bool
is_file_name(const char *s)
{
	size_t len = strnlen(s, ISSUER_ID_MAX + 1);

	if (len < 1 || len > ISSUER_ID_MAX || s[0] == '.')
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	}
	return true;
}

/* The host's name with anything that is no part of a file name as '_'. */
static void
read_host(char *out, size_t len)
{
	if (gethostname(out, len) != 0)
		(void)snprintf(out, len, "localhost");
	out[len - 1] = '\0';
	for (char *p = out; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			*p = '_';
	}
}

static void
close_keeping_errno(int fd)
{
	int kept = errno;

	(void)close(fd);
	errno = kept;
}

/* The name of a new file must survive a power cut as well as its lines. */
static rc
sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed;

	if (fd < 0)
		return RC_IO;
	failed = fsync(fd);
	close_keeping_errno(fd); /* nothing was written through it */
	return failed ? RC_IO : RC_OK;
}

static rc
open_file(struct journal *j)
{
	rc ret;

	j->fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return RC_IO;
	ret = sync_dir(j->dir);
	if (ret != RC_OK) {
		close_keeping_errno(j->fd); /* nothing was written */
		j->fd = -1;
	}
	return ret;
}

rc
journal_open(const char *dir, const char *issuer_id, struct journal **out)
{
	char host[HOST_NAME_MAX + 1], path[PATH_MAX];
	struct journal *j;
	int n;

	if (!is_file_name(issuer_id))
		return RC_INVALID;
	read_host(host, sizeof(host));
	n = snprintf(path, sizeof(path), "%s/%s.%s.journal", dir, issuer_id,
	    host);
	if (n < 0 || (size_t)n >= sizeof(path))
		return RC_INVALID;
	j = mem_zalloc(sizeof(*j));
	j->fd = -1;
	j->dir = mem_strdup(dir);
	j->path = mem_strdup(path);
	buf_init(&j->text, 0);

	*out = j;
	return RC_OK;
}

void
journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		(void)close(j->fd); /* every append was synced */
	buf_fini(&j->text);
	mem_freep(&j->path);
	mem_freep(&j->dir);
	free(j);
}

static bool
is_hex_of(const char *s, size_t len)
{
	return strnlen(s, len + 1) == len && enc_is_lower_hex(s, len);
}

static bool
is_job_id(const char *s, size_t len)
{
	if (len < 1 || len > JOURNAL_JOB_ID_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)s[i]))
			return false;
	}
	return true;
}

static const char *
id_or_none(const char *s)
{
	return s && is_job_id(s, strnlen(s, JOURNAL_JOB_ID_MAX + 1)) ? s
								     : NO_ID;
}

static rc
format_entry(struct buf *text, const char *now, const struct journal_entry *e)
{
	size_t id_len = strnlen(e->job_id, JOURNAL_JOB_ID_MAX + 1);
	const char *const fields[] = {now, e->serial_hex, e->tbs_sha256_hex,
	    e->job_id};

	if (!is_hex_of(e->serial_hex, SERIAL_DIGITS) ||
	    !is_hex_of(e->tbs_sha256_hex, SHA256_DIGITS) ||
	    !is_job_id(e->job_id, id_len))
		return RC_INVALID;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		buf_puts(text, fields[i]);
		buf_putc(text, ' ');
	}
	buf_puts(text, id_or_none(e->certificate_id));
	return RC_OK;
}

static rc
format(struct journal *j, size_t n, const struct journal_entry *entries)
{
	char now[32];
	rc ret;

	clock_format_rfc3339(clock_wall_us(), now);
	for (size_t i = 0; i < n; i++) {
		ret = format_entry(&j->text, now, &entries[i]);
		if (ret != RC_OK)
			return ret;
		buf_putc(&j->text, '\n');
	}
	return buf_ok(&j->text) ? RC_OK : RC_TOO_LARGE;
}

static void
put_base64(struct buf *text, const void *in, size_t len)
{
	const uint8_t *p = in, *stop = p + len;
	char part[BASE64_PART / 3 * 4];
	size_t n;

	buf_putc(text, ' ');
	for (; p < stop; p += n) {
		n = (size_t)(stop - p);
		if (n > BASE64_PART)
			n = BASE64_PART;
		buf_add(text, part,
		    (size_t)(enc_base64_put(part, p, n) - part));
	}
}

static rc
format_leaves(struct journal *j, size_t n, const struct journal_leaf *leaves)
{
	char now[32];
	rc ret;

	clock_format_rfc3339(clock_wall_us(), now);
	for (size_t i = 0; i < n; i++) {
		const struct journal_leaf *l = &leaves[i];

		ret = format_entry(&j->text, now, &l->entry);
		if (ret != RC_OK || !is_hex_of(l->ca_sha256_hex, SHA256_DIGITS))
			return RC_INVALID;
		buf_putc(&j->text, ' ');
		buf_puts(&j->text, id_or_none(l->agent_id));
		buf_putc(&j->text, ' ');
		buf_puts(&j->text, l->ca_sha256_hex);
		put_base64(&j->text, l->der, l->der_len);
		put_base64(&j->text, l->row, strlen(l->row));
		buf_putc(&j->text, '\n');
	}
	return buf_ok(&j->text) ? RC_OK : RC_TOO_LARGE;
}

/*
 * Looks at the file before each batch, not only at start: another worker may
 * have died in between.  Without a lock on purpose, since a stopped process
 * would keep it and stop the CA's other workers.  Opens the file again when
 * somebody has removed it.
 */
static rc
look_at_end(struct journal *j, bool *out_torn)
{
	struct stat st;
	char last = '\n';
	rc ret;

	if (fstat(j->fd, &st) != 0)
		return RC_IO;
	if (st.st_nlink == 0) {
		(void)close(j->fd); /* every append was synced */
		ret = open_file(j);
		if (ret != RC_OK)
			return ret;
		if (fstat(j->fd, &st) != 0)
			return RC_IO;
	}
	if (st.st_size > 0 && pread(j->fd, &last, 1, st.st_size - 1) != 1)
		return RC_IO;
	*out_torn = last != '\n';
	return RC_OK;
}

static rc
write_once(struct journal *j)
{
	ssize_t n;

	do
		n = write(j->fd, j->text.data, j->text.len);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (size_t)n != j->text.len)
		errno = ENOSPC; /* a part: the next writer closes the line */
	return n < 0 || (size_t)n != j->text.len ? RC_IO : RC_OK;
}

/* The file is there, and the text begins with what closes a torn line. */
static rc
begin(struct journal *j)
{
	bool torn = false;
	rc ret;

	if (j->fd < 0) {
		ret = open_file(j);
		if (ret != RC_OK)
			return ret;
	}
	ret = look_at_end(j, &torn);
	if (ret != RC_OK)
		return ret;
	buf_reset(&j->text);
	if (torn)
		buf_puts(&j->text, TORN);
	return RC_OK;
}

rc
journal_append(struct journal *j, size_t n, const struct journal_entry *entries)
{
	rc ret;

	if (n == 0)
		return RC_OK;
	if (n > JOURNAL_BATCH_MAX)
		return RC_INVALID;
	ret = begin(j);
	if (ret == RC_OK)
		ret = format(j, n, entries);
	if (ret == RC_OK)
		ret = write_once(j);
	if (ret == RC_OK && fdatasync(j->fd) != 0)
		ret = RC_IO;
	return ret;
}

rc
journal_append_leaves(struct journal *j, size_t n,
    const struct journal_leaf *leaves)
{
	rc ret;

	if (n == 0)
		return RC_OK;
	if (n > JOURNAL_BATCH_MAX)
		return RC_INVALID;
	ret = begin(j);
	if (ret == RC_OK)
		ret = format_leaves(j, n, leaves);
	if (ret == RC_OK)
		ret = write_once(j);
	return ret;
}

/* A file beside the journal, since a try must leave no trace in it. */
static rc
try_room(const struct journal *j)
{
	static const char zeros[TRY_BYTES];
	char path[PATH_MAX + 32];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "%s.%ld.try", j->path,
	    (long)getpid());
	(void)unlink(path); /* of a process of that number that was killed */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		(void)unlink(path); /* it is gone with its descriptor */
		n = write(fd, zeros, sizeof(zeros));
		if (n >= 0 && n != (ssize_t)sizeof(zeros))
			errno = ENOSPC;
		if (n == (ssize_t)sizeof(zeros) && fdatasync(fd) != 0)
			n = -1;
		close_keeping_errno(fd);
	}
	return n == (ssize_t)sizeof(zeros) ? RC_OK : RC_IO;
}

rc
journal_try(const char *dir, const char *issuer_id)
{
	struct journal *j;
	int kept;
	rc ret;

	ret = journal_open(dir, issuer_id, &j);
	if (ret != RC_OK)
		return ret;
	ret = open_file(j);
	if (ret == RC_OK)
		ret = try_room(j);
	kept = errno;
	journal_close(j);
	errno = kept;
	return ret;
}

static rc
write_new(const char *path, const uint8_t *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n = 0;
	bool failed;

	if (fd < 0)
		return RC_IO;
	while (len > 0 && n >= 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	failed = n < 0 || fsync(fd) != 0;
	if (close(fd) != 0 || failed)
		return RC_IO;
	return RC_OK;
}

rc
journal_keep_list(struct journal *j, const uint8_t *der, size_t len)
{
	size_t stem = strlen(j->path) - strlen(".journal");
	char path[PATH_MAX], part[PATH_MAX];
	rc ret;

	/* A name of the process's own: workers of a host do it side by side,
	 * and whichever comes last, the database has given its number. */
	(void)snprintf(path, sizeof(path), "%.*s.crl", (int)stem, j->path);
	(void)snprintf(part, sizeof(part), "%.*s.%d.part", (int)stem, j->path,
	    (int)getpid());
	ret = write_new(part, der, len);
	if (ret == RC_OK && rename(part, path) != 0)
		ret = RC_IO;
	if (ret != RC_OK) {
		(void)unlink(part); /* it is of no use */
		return ret;
	}
	return sync_dir(j->dir);
}

/* The next field, up to a space or the end; empty when there is none. */
static bool
take_field(const char **p, const char *end, char *out, size_t cap)
{
	const char *stop = memchr(*p, ' ', (size_t)(end - *p));
	size_t len;

	if (!stop)
		stop = end;
	len = (size_t)(stop - *p);
	if (len < 1 || len >= cap)
		return false;
	memcpy(out, *p, len);
	out[len] = '\0';
	*p = stop < end ? stop + 1 : end;
	return true;
}

static bool
is_base64(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) && !strchr("+/=", s[i]))
			return false;
	}
	return len > 0 && len % 4 == 0;
}

/* What follows the certificate's id in a line that has the certificate. */
static bool
take_leaf(const char **p, const char *end, struct journal_line *l)
{
	const char *stop;

	if (!take_field(p, end, l->agent_id, sizeof(l->agent_id)) ||
	    !take_field(p, end, l->ca_sha256_hex, sizeof(l->ca_sha256_hex)) ||
	    !is_hex_of(l->ca_sha256_hex, SHA256_DIGITS))
		return false;
	stop = memchr(*p, ' ', (size_t)(end - *p));
	if (!stop)
		return false;
	l->leaf = *p;
	l->leaf_len = (size_t)(stop - *p);
	l->row = stop + 1;
	l->row_len = (size_t)(end - l->row);
	*p = end;
	return is_base64(l->leaf, l->leaf_len) && is_base64(l->row, l->row_len);
}

/* "" for "-"; false for what is no id. */
static bool
read_id(char *id)
{
	if (strcmp(id, NO_ID) == 0)
		id[0] = '\0';
	return id[0] == '\0' || is_job_id(id, strlen(id));
}

rc
journal_read_line(const char *line, size_t len, struct journal_line *out)
{
	const char *p = line, *end = line + len;
	struct journal_line l = {0};
	bool whole;

	whole =
	    take_field(&p, end, l.time, sizeof(l.time)) &&
	    take_field(&p, end, l.serial_hex, sizeof(l.serial_hex)) &&
	    take_field(&p, end, l.tbs_sha256_hex, sizeof(l.tbs_sha256_hex)) &&
	    take_field(&p, end, l.job_id, sizeof(l.job_id));
	if (whole && p != end)
		whole = take_field(&p, end, l.certificate_id,
		    sizeof(l.certificate_id));
	if (whole && p != end)
		whole = take_leaf(&p, end, &l);
	if (!whole || p != end || line[len - 1] == ' ')
		return RC_INVALID;
	if (!is_hex_of(l.serial_hex, SERIAL_DIGITS) ||
	    !is_hex_of(l.tbs_sha256_hex, SHA256_DIGITS) ||
	    !is_job_id(l.job_id, strlen(l.job_id)) ||
	    !read_id(l.certificate_id) || !read_id(l.agent_id))
		return RC_INVALID;

	*out = l;
	return RC_OK;
}
