#include "agent/spot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/install_int.h"
#include "agent/safedir.h"
#include "common/base/file.h"

void
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
	t->temp = arena_printf(a, ".certctl-new-%s", t->name);
	ret = safedir_open_within(a,
	    slash == path ? "/"
			  : arena_strndup(a, path, (size_t)(slash - path)),
	    p->bounds, &t->dir_fd, out_why);
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

	if (strcmp(x->name, y->name) != 0)
		return false;
	/* What can't be told apart is taken for one. */
	return fstat(x->dir_fd, &a) != 0 || fstat(y->dir_fd, &b) != 0 ||
	       (a.st_dev == b.st_dev && a.st_ino == b.st_ino);
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

rc
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

const struct spot *
spots_find(const struct spots *s, const char *path)
{
	for (size_t i = 0; path && i < s->n; i++) {
		if (s->all[i].path == path)
			return &s->all[i];
	}
	return NULL;
}

static rc
look_at(const struct spot *t, const char *name, enum stands *out)
{
	char have[PATH_MAX];
	ssize_t n = readlinkat(t->dir_fd, name, have, sizeof(have));

	if (n < 0 && errno == ENOENT) {
		*out = STANDS_NOTHING;
		return RC_OK;
	}
	if (n < 0 && errno != EINVAL) /* EINVAL: no link */
		return RC_IO;
	*out = n >= 0 && (size_t)n == strlen(t->want) &&
		       memcmp(have, t->want, (size_t)n) == 0
		   ? STANDS_OURS
		   : STANDS_OTHER;
	return RC_OK;
}

rc
spot_look(const struct spot *t, enum stands *out)
{
	return look_at(t, t->name, out);
}

/* What is kept of it, likewise. */
static rc
look_kept(const struct spot *t, enum stands *out)
{
	return look_at(t, t->orig, out);
}

static rc
cannot_read(struct arena *a, const struct spot *t, const char *what,
    const char **out_why)
{
	*out_why = arena_printf(a,
	    "what stands at %s cannot be kept to go back to: %s; nothing was "
	    "changed",
	    t->path, what);
	return RC_INVALID;
}

rc
spot_read(struct arena *a, const struct spot *t, size_t max, char **out,
    size_t *out_len, struct stat *out_look, const char **out_why)
{
	struct stat st;
	char *text;
	int fd;
	rc ret;

	/* Before it is opened, for opening a device may be felt. */
	if (fstatat(t->dir_fd, t->name, &st, 0) != 0)
		return errno == ENOENT
			   ? RC_NOT_FOUND
			   : cannot_read(a, t, strerror(errno), out_why);
	if (!S_ISREG(st.st_mode))
		return cannot_read(a, t, "it is no regular file", out_why);
	fd = openat(t->dir_fd, t->name,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return cannot_read(a, t, strerror(errno), out_why);
	text = arena_alloc(a, max + 1);
	ret =
	    fstat(fd, &st) == 0 ? file_read_fd(fd, text, max, out_len) : RC_IO;
	if (ret == RC_IO)
		ret = cannot_read(a, t, strerror(errno), out_why);
	else if (ret == RC_TOO_LARGE)
		ret = cannot_read(a, t,
		    arena_printf(a, "it is larger than %zu bytes", max),
		    out_why);
	else if (!S_ISREG(st.st_mode))
		ret = cannot_read(a, t, "it is no regular file", out_why);
	close(fd);
	if (ret != RC_OK)
		return ret;
	text[*out_len] = '\0';
	*out = text;
	*out_look = st;
	return RC_OK;
}

static bool
is_directory(const struct spot *t)
{
	struct stat st;

	return fstatat(t->dir_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static rc
remove_kept(const struct spot *t)
{
	return unlinkat(t->dir_fd, t->orig, 0) == 0 || errno == ENOENT ? RC_OK
								       : RC_IO;
}

/* Where a file system can't exchange names: a second name for the file, then
 * a link over the first. */
static rc
exchange_by_link(const struct spot *t)
{
	if (remove_kept(t) != RC_OK ||
	    linkat(t->dir_fd, t->name, t->dir_fd, t->orig, 0) != 0)
		return RC_IO;
	return files_symlink(t->dir_fd, t->want, t->name, t->temp);
}

static rc
exchange(const struct spot *t)
{
	if (renameat2(t->dir_fd, t->orig, t->dir_fd, t->name,
		RENAME_EXCHANGE) == 0)
		return RC_OK;
	if (errno == EINVAL || errno == ENOSYS)
		return exchange_by_link(t);
	return RC_IO;
}

static rc
take_over(const struct spot *t)
{
	enum stands stands;
	int saved;

	if (is_directory(t)) {
		errno = EISDIR;
		return RC_IO;
	}
	/* Of a run that was cut off; or older than what stands. */
	if (remove_kept(t) != RC_OK ||
	    symlinkat(t->want, t->dir_fd, t->orig) != 0)
		return RC_IO;
	if (exchange(t) == RC_OK)
		return RC_OK;
	saved = errno;
	/* What stands still stands, and its second name is of no use. */
	if (spot_look(t, &stands) == RC_OK && stands == STANDS_OTHER)
		IGNORE_RESULT(remove_kept(t));
	errno = saved;
	return RC_IO;
}

rc
spot_take(const struct spot *t)
{
	enum stands stands;
	rc ret;

	ret = spot_look(t, &stands);
	if (ret != RC_OK || stands == STANDS_OURS)
		return ret;
	if (stands == STANDS_OTHER)
		ret = take_over(t);
	else if (symlinkat(t->want, t->dir_fd, t->name) != 0)
		ret = RC_IO;
	if (ret == RC_OK && fsync(t->dir_fd) != 0)
		ret = RC_IO;
	return ret;
}

/* Two names of it, where a file system can't exchange them. */
static bool
is_one_file(const struct spot *t)
{
	struct stat a, b;

	return fstatat(t->dir_fd, t->name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(t->dir_fd, t->orig, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

rc
spot_give_back(const struct spot *t, bool is_first)
{
	enum stands stands, kept;
	rc ret;

	ret = spot_look(t, &stands);
	if (ret == RC_OK)
		ret = look_kept(t, &kept);
	if (ret != RC_OK)
		return ret;
	if (kept == STANDS_OURS || (kept == STANDS_OTHER && is_one_file(t)))
		ret = remove_kept(t);
	else if (kept == STANDS_OTHER && stands != STANDS_OTHER &&
		 renameat(t->dir_fd, t->orig, t->dir_fd, t->name) != 0)
		ret = RC_IO;
	if (ret == RC_OK && kept != STANDS_OTHER && is_first &&
	    stands == STANDS_OURS && unlinkat(t->dir_fd, t->name, 0) != 0)
		ret = RC_IO;
	if (ret == RC_OK && fsync(t->dir_fd) != 0)
		ret = RC_IO;
	return ret;
}

void
spot_settle(const struct spot *t)
{
	enum stands stands;

	if (spot_look(t, &stands) == RC_OK && stands == STANDS_OURS)
		/* one that stays is replaced by the next */
		IGNORE_RESULT(files_remove(t->dir_fd, t->orig));
}
