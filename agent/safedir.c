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

rc
safedir_open(struct arena *a, const char *path, int *out_fd,
    const char **out_why)
{
	struct walk w = {.a = a, .path = path, .fd = -1, .rest = path};
	int fd = -1;
	rc ret;

	ret = enter(&w, AT_FDCWD, "/");
	w.rest += strspn(w.rest, "/");
	while (ret == RC_OK && w.rest[0] != '\0') {
		ret = step(&w);
		w.rest += strspn(w.rest, "/");
	}
	if (ret == RC_OK)
		ret = check(&w, true, false);
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
