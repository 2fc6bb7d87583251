#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

rc
file_read_fd(int fd, void *out, size_t cap, size_t *out_len)
{
	uint8_t *p = out, more;
	size_t len = 0;
	ssize_t n;

	for (;;) {
		/* One byte past the cap tells a full file from a larger one. */
		if (len < cap)
			n = read(fd, p + len, cap - len);
		else
			n = read(fd, &more, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return RC_IO;
		if (n == 0)
			break;
		if (len == cap)
			return RC_TOO_LARGE;
		len += (size_t)n;
	}
	*out_len = len;
	return RC_OK;
}

static rc
read_regular(struct arena *a, int fd, size_t max, char **out, size_t *out_len)
{
	struct stat st;
	size_t cap, len;
	char *text;
	rc ret;

	if (fstat(fd, &st) != 0)
		return RC_IO;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return RC_IO;
	}
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return RC_TOO_LARGE;
	cap = (size_t)st.st_size;
	text = arena_alloc(a, cap + 1);
	/* One that grows meanwhile is being written: not to be believed. */
	ret = file_read_fd(fd, text, cap, &len);
	if (ret != RC_OK)
		return ret;
	text[len] = '\0';
	*out = text;
	if (out_len)
		*out_len = len;
	return RC_OK;
}

rc
file_read_at(struct arena *a, int dir_fd, const char *name, int flags,
    size_t max, char **out, size_t *out_len)
{
	int fd, saved;
	rc ret;

	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	if (fd < 0)
		return errno == ENOENT ? RC_NOT_FOUND : RC_IO;
	ret = read_regular(a, fd, max, out, out_len);
	saved = errno;
	(void)close(fd); /* only read from */
	errno = saved;
	return ret;
}

rc
file_read(struct arena *a, const char *path, size_t max, char **out,
    size_t *out_len)
{
	return file_read_at(a, AT_FDCWD, path, 0, max, out, out_len);
}
