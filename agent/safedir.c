#include "agent/safedir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 16
#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct walk {
	struct arena *a;
	const char *path; /* as it was asked for */
	const char *rest; /* still to be walked */
	int fd, links;
	const char *why;
};

static rc
say_errno(struct walk *w)
{
	rc ret = errno == ENOENT ? RC_NOT_FOUND : RC_IO;

	w->why = arena_printf(w->a, "cannot open directory %s: %s", w->path,
	    strerror(errno));
	return ret;
}

static rc
refuse(struct walk *w, const char *what)
{
	w->why = arena_printf(w->a,
	    "directory %s is not safe to write in: %s; it and those above it "
	    "must belong to root or to the agent's user, and others must not "
	    "write there",
	    w->path, what);
	return RC_FORBIDDEN;
}

/* What stands in this directory stays what it is. */
static rc
check(struct walk *w, bool is_end, bool is_link)
{
	struct stat st;

	if (fstat(w->fd, &st) != 0)
		return say_errno(w);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return refuse(w, arena_printf(w->a, "user %u owns a part of it",
				     (unsigned)st.st_uid));
	if ((st.st_mode & 022) == 0)
		return RC_OK;
	if (is_end || is_link || !(st.st_mode & S_ISVTX))
		return refuse(w,
		    arena_printf(w->a, "a part of it has mode %04o",
			(unsigned)(st.st_mode & 07777)));
	return RC_OK;
}

static rc
enter(struct walk *w, int at, const char *name)
{
	int fd = openat(at, name, DIR_FLAGS);

	if (fd < 0)
		return say_errno(w);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
	return RC_OK;
}

static rc
follow(struct walk *w, const char *name)
{
	char target[PATH_MAX];
	ssize_t n;
	rc ret;

	n = readlinkat(w->fd, name, target, sizeof(target) - 1);
	if (n < 0) {
		errno = ENOTDIR;
		return say_errno(w);
	}
	ret = check(w, false, true);
	if (ret != RC_OK)
		return ret;
	if (++w->links > LINKS_MAX) {
		errno = ELOOP;
		return say_errno(w);
	}
	w->rest = arena_printf(w->a, "%.*s/%s", (int)n, target, w->rest);
	return target[0] == '/' ? enter(w, AT_FDCWD, "/") : RC_OK;
}

static rc
step(struct walk *w)
{
	size_t n = strcspn(w->rest, "/");
	const char *name = arena_strndup(w->a, w->rest, n);
	int fd;
	rc ret;

	w->rest += n;
	w->rest += strspn(w->rest, "/");
	ret = check(w, false, false);
	if (ret != RC_OK)
		return ret;
	fd = openat(w->fd, name, DIR_FLAGS);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return follow(w, name);
	if (fd < 0)
		return say_errno(w);
	close(w->fd);
	w->fd = fd;
	return RC_OK;
}

/* As far as path goes; the end may be a sticky directory when is_above. */
static rc
walk(struct walk *w, bool is_above)
{
	rc ret;

	ret = enter(w, AT_FDCWD, "/");
	w->rest += strspn(w->rest, "/");
	while (ret == RC_OK && w->rest[0] != '\0') {
		ret = step(w);
		w->rest += strspn(w->rest, "/");
	}
	return ret == RC_OK ? check(w, !is_above, false) : ret;
}

static rc
open_walked(struct arena *a, const char *path, bool is_above, int *out_fd,
    const char **out_why)
{
	struct walk w = {.a = a, .path = path, .fd = -1, .rest = path};
	int fd = -1;
	rc ret;

	ret = walk(&w, is_above);
	if (ret == RC_OK) {
		fd = openat(w.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			ret = say_errno(&w);
	}
	if (w.fd >= 0)
		close(w.fd);
	if (ret != RC_OK) {
		*out_why = w.why;
		return ret;
	}
	*out_fd = fd;
	return RC_OK;
}

rc
safedir_open(struct arena *a, const char *path, int *out_fd,
    const char **out_why)
{
	return open_walked(a, path, false, out_fd, out_why);
}

rc
safedir_open_above(struct arena *a, const char *path, int *out_fd,
    const char **out_name, const char **out_why)
{
	size_t n = strlen(path), start;

	while (n > 0 && path[n - 1] == '/')
		n--;
	for (start = n; start > 0 && path[start - 1] != '/';)
		start--;
	if (path[0] != '/' || n == 0) {
		*out_why = "it is not the absolute path of a directory";
		return RC_INVALID;
	}
	*out_name = arena_strndup(a, path + start, n - start);
	return open_walked(a, arena_strndup(a, path, start), true, out_fd,
	    out_why);
}

/* Whether one of the directories is that one. */
static bool
is_among(const char *const *dirs, const struct stat *st)
{
	struct stat one;

	for (size_t i = 0; dirs[i]; i++) {
		if (dirs[i][0] != '\0' && stat(dirs[i], &one) == 0 &&
		    one.st_dev == st->st_dev && one.st_ino == st->st_ino)
			return true;
	}
	return false;
}

/* From that directory up to the root, by what is open and no name. */
static rc
check_bounds(int dir_fd, const struct safedir_bounds *b, bool *out_is_within)
{
	struct stat st, above;
	int fd, up;

	*out_is_within = false;
	fd = openat(dir_fd, ".", DIR_FLAGS);
	if (fd < 0 || fstat(fd, &st) != 0)
		goto failed;
	for (;;) {
		if (is_among(b->without, &st)) {
			*out_is_within = false;
			break;
		}
		*out_is_within |= is_among(b->within, &st);
		up = openat(fd, "..", DIR_FLAGS);
		if (up < 0)
			goto failed;
		close(fd);
		fd = up;
		if (fstat(fd, &above) != 0)
			goto failed;
		if (above.st_dev == st.st_dev && above.st_ino == st.st_ino)
			break;
		st = above;
	}
	close(fd);
	return RC_OK;
failed:
	if (fd >= 0)
		close(fd);
	return RC_IO;
}

rc
safedir_open_within(struct arena *a, const char *path,
    const struct safedir_bounds *b, int *out_fd, const char **out_why)
{
	bool is_within = true;
	int fd;
	rc ret;

	ret = safedir_open(a, path, &fd, out_why);
	if (ret != RC_OK)
		return ret;
	if (b)
		ret = check_bounds(fd, b, &is_within);
	if (ret != RC_OK) {
		*out_why = arena_printf(a, "cannot tell where %s lies: %s",
		    path, strerror(errno));
	} else if (!is_within) {
		*out_why = arena_printf(a,
		    "this host does not allow directory %s: it leads to where "
		    "CERTCTL_AGENT_TARGET_DIRS does not",
		    path);
		ret = RC_FORBIDDEN;
	}
	if (ret != RC_OK) {
		close(fd);
		return ret;
	}
	*out_fd = fd;
	return RC_OK;
}

/* *path: where a link in that directory leads. */
static rc
follow_program(struct arena *a, int dir_fd, const char *name, const char **path,
    const char **out_why)
{
	const char *slash = strrchr(*path, '/');
	char target[PATH_MAX];
	ssize_t n;

	n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
	if (n < 0) {
		*out_why = arena_printf(a, "cannot read the link %s: %s", *path,
		    strerror(errno));
		return RC_IO;
	}
	*path = target[0] == '/'
		    ? arena_strndup(a, target, (size_t)n)
		    : arena_printf(a, "%.*s/%.*s", (int)(slash - *path), *path,
			  (int)n, target);
	return RC_OK;
}

/* *path becomes what a link leads to, or NULL for what is none and safe. */
static rc
check_one_program(struct arena *a, const char **path, const char **out_why)
{
	const char *name;
	struct stat st;
	int fd;
	rc ret;

	ret = safedir_open_above(a, *path, &fd, &name, out_why);
	if (ret != RC_OK)
		return ret;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		ret = errno == ENOENT ? RC_NOT_FOUND : RC_IO;
		*out_why = arena_printf(a, "cannot look at %s: %s", *path,
		    strerror(errno));
	} else if (S_ISLNK(st.st_mode)) {
		ret = follow_program(a, fd, name, path, out_why);
	} else if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
		   (st.st_mode & 022) != 0) {
		ret = RC_FORBIDDEN;
		*out_why = arena_printf(a, "%s is of user %u with mode %04o",
		    *path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
	} else {
		*path = NULL;
	}
	close(fd);
	return ret;
}

rc
safedir_check_program(struct arena *a, const char *path, const char **out_why)
{
	rc ret = RC_OK;

	for (int i = 0; path && ret == RC_OK && i < LINKS_MAX; i++)
		ret = check_one_program(a, &path, out_why);
	if (path && ret == RC_OK) {
		*out_why = "its links lead in a circle";
		ret = RC_IO;
	}
	return ret;
}
