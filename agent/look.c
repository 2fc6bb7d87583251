#include "agent/look.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/safedir.h"

struct look {
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

static bool
is_number(const char *s, unsigned *out)
{
	char *end;
	unsigned long n;

	if (s[0] < '0' || s[0] > '9')
		return false;
	errno = 0;
	n = strtoul(s, &end, 10);
	if (*end != '\0' || errno != 0 || n >= 0xffffffffUL)
		return false;
	*out = (unsigned)n;
	return true;
}

static rc
find_owner(struct arena *a, const struct target_file *want, struct look *out,
    const char **out_why)
{
	struct passwd *user;
	struct group *group;
	unsigned id;

	if (want->owner && is_number(want->owner, &id)) {
		out->uid = id;
	} else if (want->owner) {
		user = getpwnam(want->owner);
		if (!user) {
			*out_why = arena_printf(a,
			    "this host has no user \"%s\"", want->owner);
			return RC_INVALID;
		}
		out->uid = user->pw_uid;
	}
	if (want->group && is_number(want->group, &id)) {
		out->gid = id;
	} else if (want->group) {
		group = getgrnam(want->group);
		if (!group) {
			*out_why = arena_printf(a,
			    "this host has no group \"%s\"", want->group);
			return RC_INVALID;
		}
		out->gid = group->gr_gid;
	}
	return RC_OK;
}

/* Owner before mode: nobody may read for a moment what he shall not. */
static rc
give(struct arena *a, int fd, const char *path, const struct look *l,
    const char **out_why)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		goto failed;
	if ((st.st_uid != l->uid || st.st_gid != l->gid) &&
	    fchown(fd, l->uid, l->gid) != 0) {
		*out_why = arena_printf(a,
		    "%s must belong to user %u and group %u, and this agent "
		    "cannot give it to them: %s; run the agent as root, or "
		    "give the file that stands there, and the target's owner "
		    "and group, to the agent's user",
		    path, (unsigned)l->uid, (unsigned)l->gid, strerror(errno));
		return RC_FORBIDDEN;
	}
	if (fchmod(fd, l->mode) == 0 && fsync(fd) == 0)
		return RC_OK;
failed:
	*out_why = arena_printf(a, "cannot set owner and mode of %s: %s", path,
	    strerror(errno));
	return RC_IO;
}

/* That of the file which path leads to; *out is left alone when there is
 * none. */
static rc
find_look(struct arena *a, const char *path, struct look *out,
    const char **out_why)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	int fd, n;
	rc ret;

	ret = safedir_open(a,
	    slash == path ? "/"
			  : arena_strndup(a, path, (size_t)(slash - path)),
	    &fd, out_why);
	if (ret != RC_OK)
		return ret == RC_NOT_FOUND ? RC_OK : ret;
	n = fstatat(fd, slash + 1, &st, 0);
	if (n != 0 && errno != ENOENT) {
		*out_why = arena_printf(a, "cannot look at %s: %s", path,
		    strerror(errno));
		ret = RC_IO;
	}
	close(fd);
	if (n == 0 && S_ISREG(st.st_mode))
		*out = (struct look){st.st_uid, st.st_gid, st.st_mode & 0777};
	return ret;
}

rc
look_write(struct arena *a, int dir_fd, const char *name, const void *bytes,
    size_t len, const struct target_file *want, const char *path,
    const struct stat *like, mode_t mode, const char **out_why)
{
	struct stat st;
	struct look l;
	rc ret;
	int fd;

	ret = files_write(dir_fd, name, bytes, len, 0600);
	fd = ret == RC_OK
		 ? openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
		 : -1;
	if (fd < 0 || fstat(fd, &st) != 0) {
		*out_why =
		    arena_printf(a, "cannot write into a version's %s: %s",
			name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return RC_IO;
	}
	l = (struct look){st.st_uid, st.st_gid, mode};
	if (like)
		l = (struct look){like->st_uid, like->st_gid,
		    like->st_mode & 0777};
	else if (path)
		ret = find_look(a, path, &l, out_why);
	if (want->mode >= 0)
		l.mode = (mode_t)want->mode;
	if (ret == RC_OK)
		ret = find_owner(a, want, &l, out_why);
	if (ret == RC_OK)
		ret = give(a, fd, path ? path : name, &l, out_why);
	close(fd);
	return ret;
}
