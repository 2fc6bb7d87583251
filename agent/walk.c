#include "agent/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

struct level {
	DIR *dir;
	size_t len; /* of its path */
};

struct walk {
	const struct walk_opts *opts;
	const char *const *next; /* directory to begin with */
	dev_t dev;               /* of the directory begun with */
	struct level levels[WALK_DEPTH_MAX];
	size_t depth;
	size_t names;
	char path[WALK_PATH_MAX + 1];
};

struct walk *
walk_new(const struct walk_opts *opts)
{
	struct walk *w = mem_zalloc(sizeof(*w));

	w->opts = opts;
	w->next = opts->dirs;
	return w;
}

void
walk_free(struct walk *w)
{
	if (!w)
		return;
	while (w->depth > 0)
		(void)closedir(w->levels[--w->depth].dir);
	free(w);
}

static enum walk_result
fail(const struct walk *w, const char *why)
{
	w->opts->on_error(w->opts->arg, w->path, why);
	return WALK_OTHER;
}

/* One that went meanwhile is no error. */
static enum walk_result
fail_errno(const struct walk *w)
{
	return errno == ENOENT ? WALK_OTHER : fail(w, strerror(errno));
}

static bool
is_skipped(const struct walk *w, const struct stat *st)
{
	struct stat other;

	for (size_t i = 0; i < w->opts->nskip; i++) {
		if (w->opts->skip[i] >= 0 &&
		    fstat(w->opts->skip[i], &other) == 0 &&
		    other.st_dev == st->st_dev && other.st_ino == st->st_ino)
			return true;
	}
	return false;
}

/* Goes on in the directory fd, whose path stands. */
static enum walk_result
enter(struct walk *w, int fd)
{
	struct level *l = &w->levels[w->depth];
	struct stat st;

	if (fstat(fd, &st) != 0) {
		(void)close(fd);
		return fail_errno(w);
	}
	if (w->depth == 0)
		w->dev = st.st_dev;
	if (st.st_dev != w->dev || is_skipped(w, &st)) {
		(void)close(fd);
		return is_skipped(w, &st) ? WALK_OTHER
					  : fail(w, "another file system");
	}
	l->dir = fdopendir(fd);
	if (l->dir == NULL) {
		(void)close(fd);
		return fail_errno(w);
	}
	l->len = strlen(w->path);
	w->depth++;
	return WALK_OTHER;
}

static enum walk_result
begin(struct walk *w)
{
	const char *dir = *w->next++;
	size_t len = strlen(dir);
	int fd;

	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (len > WALK_PATH_MAX)
		len = WALK_PATH_MAX; /* opens nothing, and is told of */
	memcpy(w->path, dir, len);
	w->path[len] = '\0';
	/* The one that was configured may be a link. */
	fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(w, strerror(errno));
	return enter(w, fd);
}

/* Takes the name behind the directory's path; false when it is too long. */
static bool
set_path(struct walk *w, const struct level *l, const char *name)
{
	size_t len = strlen(name);
	bool is_root = l->len == 1; /* "/" */
	size_t at = l->len + (is_root ? 0 : 1);

	if (at + len > WALK_PATH_MAX)
		return false;
	w->path[l->len] = '/';
	memcpy(w->path + at, name, len + 1);
	return true;
}

static enum walk_result
open_directory(struct walk *w, const struct level *l, const char *name)
{
	int fd;

	if (w->depth == WALK_DEPTH_MAX)
		return fail(w, "too deep");
	fd = openat(dirfd(l->dir), name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? fail_errno(w) : enter(w, fd);
}

static enum walk_result
open_file(struct walk *w, const struct level *l, const char *name, int *out_fd,
    const char **out_path)
{
	struct stat st;
	int fd;

	if (!w->opts->wants(name))
		return WALK_OTHER;
	/* Between the look and this it may have become a FIFO. */
	fd = openat(dirfd(l->dir), name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(w);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return WALK_OTHER;
	}
	*out_fd = fd;
	*out_path = w->path;
	return WALK_FILE;
}

static enum walk_result
look(struct walk *w, const struct level *l, const char *name, int *out_fd,
    const char **out_path)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return WALK_OTHER;
	if (!set_path(w, l, name)) {
		w->path[l->len] = '\0';
		return fail(w, "a path in it is longer than 1024 bytes");
	}
	if (fstatat(dirfd(l->dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_errno(w);
	if (S_ISDIR(st.st_mode))
		return open_directory(w, l, name);
	if (S_ISREG(st.st_mode))
		return open_file(w, l, name, out_fd, out_path);
	return WALK_OTHER; /* a link, a socket, a device */
}

enum walk_result
walk_next(struct walk *w, int *out_fd, const char **out_path)
{
	const struct level *l;
	const struct dirent *entry;

	if (w->depth == 0)
		return *w->next == NULL ? WALK_END : begin(w);
	l = &w->levels[w->depth - 1];
	errno = 0;
	entry = readdir(l->dir);
	if (entry == NULL) {
		w->path[l->len] = '\0';
		if (errno != 0)
			(void)fail_errno(w);
		(void)closedir(l->dir);
		w->depth--;
		return WALK_OTHER;
	}
	if (w->names++ == WALK_NAMES_MAX) {
		w->path[l->len] = '\0';
		(void)fail(w, "stopped here: 100000 names were looked at");
		while (w->depth > 0)
			(void)closedir(w->levels[--w->depth].dir);
		while (*w->next)
			w->next++;
		return WALK_OTHER;
	}
	return look(w, l, entry->d_name, out_fd, out_path);
}
