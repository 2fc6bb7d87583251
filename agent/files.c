#include "agent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"

rc
files_mkdir(int dir_fd, const char *name, mode_t mode)
{
	if (mkdirat(dir_fd, name, mode) == 0 || errno == EEXIST)
		return RC_OK;
	return RC_IO;
}

static rc
write_all(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return RC_IO;
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd) == 0 ? RC_OK : RC_IO;
}

rc
files_write(int dir_fd, const char *name, const void *bytes, size_t len,
    mode_t mode)
{
	char temp[512];
	int fd, n, saved;
	rc ret;

	n = snprintf(temp, sizeof(temp), "%s.tmp", name);
	if (n < 0 || (size_t)n >= sizeof(temp))
		return RC_INVALID;
	(void)unlinkat(dir_fd, temp, 0); /* of a run that was cut off */
	fd = openat(dir_fd, temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return RC_IO;
	ret = write_all(fd, bytes, len);
	if (ret == RC_OK && fchmod(fd, mode) != 0)
		ret = RC_IO;
	if (ret == RC_OK && renameat(dir_fd, temp, dir_fd, name) != 0)
		ret = RC_IO;
	if (ret == RC_OK && fsync(dir_fd) != 0)
		ret = RC_IO;
	saved = errno;
	close(fd);
	if (ret != RC_OK)
		(void)unlinkat(dir_fd, temp, 0);
	errno = saved;
	return ret;
}

rc
files_read(struct arena *a, int dir_fd, const char *name, size_t max,
    char **out, size_t *out_len)
{
	return file_read_at(a, dir_fd, name, O_NOFOLLOW, max, out, out_len);
}

rc
files_remove(int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT)
		return RC_IO;
	return fsync(dir_fd) == 0 ? RC_OK : RC_IO;
}

static bool
is_link(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISLNK(st.st_mode);
}

rc
files_symlink(int dir_fd, const char *target, const char *name,
    const char *temp)
{
	int saved;

	if (is_link(dir_fd, temp) && unlinkat(dir_fd, temp, 0) != 0)
		return RC_IO;
	if (symlinkat(target, dir_fd, temp) != 0)
		return RC_IO;
	if (renameat(dir_fd, temp, dir_fd, name) != 0) {
		saved = errno;
		(void)unlinkat(dir_fd, temp, 0);
		errno = saved;
		return RC_IO;
	}
	return fsync(dir_fd) == 0 ? RC_OK : RC_IO;
}
