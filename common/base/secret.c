#include "common/base/secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#define SECRET_FILE_MAX ((size_t)64 * 1024)

struct secret {
	size_t len;
	uint8_t bytes[];
};

static struct secret *
secret_alloc(size_t len)
{
	/* mem_zalloc(SIZE_MAX) ends the process, an overflow would not */
	size_t size = len > SIZE_MAX - sizeof(struct secret)
			  ? SIZE_MAX
			  : sizeof(struct secret) + len;
	struct secret *s = mem_zalloc(size);

	s->len = len;
	return s;
}

struct secret *
secret_new(const void *bytes, size_t len)
{
	struct secret *s = secret_alloc(len);

	if (len > 0)
		memcpy(s->bytes, bytes, len);
	return s;
}

rc
secret_new_from_file(const char *path, struct secret **out)
{
	struct stat st;
	uint8_t *bytes = NULL;
	size_t len = 0;
	rc ret = RC_IO;
	int fd;

	/* a FIFO must not stop the start: open without waiting, then refuse */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return RC_IO;
	if (fstat(fd, &st) != 0)
		goto out;
	ret = RC_INVALID;
	/* A group may read it (mounted secrets are often 0440), not write. */
	if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
		goto out;
	bytes = mem_zalloc(SECRET_FILE_MAX);
	ret = file_read_fd(fd, bytes, SECRET_FILE_MAX, &len);
	if (ret != RC_OK)
		goto out;
	if (len > 0 && bytes[len - 1] == '\n')
		len--;
	*out = secret_new(bytes, len);
out:
	if (bytes != NULL) {
		mem_wipe(bytes, SECRET_FILE_MAX);
		free(bytes);
	}
	(void)close(fd); /* only read from */
	return ret;
}

void
secret_free(struct secret *s)
{
	if (s == NULL)
		return;
	mem_wipe(s, sizeof(*s) + s->len);
	free(s);
}

const uint8_t *
secret_bytes(const struct secret *s)
{
	return s->bytes;
}

size_t
secret_len(const struct secret *s)
{
	return s->len;
}
