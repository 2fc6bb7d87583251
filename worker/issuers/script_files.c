#include "worker/issuers/script_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/log/log.h"

#define TRY_BYTES ((size_t)32 * 1024)

const char *
script_files_dir(struct arena *a, const char **out_why)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = arena_printf(a, "%s/certctl-order-XXXXXX",
	    tmp && tmp[0] == '/' ? tmp : "/tmp");

	if (mkdtemp(dir)) /* of mode 0700 */
		return dir;
	*out_why = arena_printf(a,
	    "no directory can be made for the script's "
	    "files (%s): %s",
	    dir, strerror(errno));
	return NULL;
}

void
script_files_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0); /* "." stays */
	if (d)
		closedir(d);
	if (rmdir(dir) < 0)
		log_warn("SCRIPT-DIR", "%s stays: %s", dir, strerror(errno));
}

static rc
write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n;
	int why;

	if (fd < 0)
		return RC_IO;
	n = write(fd, text, len);
	if (n >= 0 && (size_t)n != len)
		errno = ENOSPC;
	why = n < 0 || (size_t)n != len ? errno : 0;
	if (close(fd) < 0 && why == 0)
		why = errno;
	errno = why;
	return why == 0 ? RC_OK : RC_IO;
}

rc
script_files_write(struct arena *a, const char *path, const char *text,
    size_t len, const char **out_why)
{
	rc ret = write_file(path, text, len);

	if (ret != RC_OK)
		*out_why = arena_printf(a,
		    "the files for the script cannot be written (%s): %s", path,
		    strerror(errno));
	return ret;
}

rc
script_files_read(struct arena *a, const char *path, size_t max, char **out,
    size_t *out_len)
{
	return file_read_at(a, AT_FDCWD, path, O_NOFOLLOW, max, out, out_len);
}

rc
script_files_try(struct arena *a, const char **out_why)
{
	static const char text[TRY_BYTES + 1] = {[0 ... TRY_BYTES - 1] = '\n'};
	const char *dir = script_files_dir(a, out_why);
	rc ret;

	if (!dir)
		return RC_IO;
	ret = script_files_write(a, arena_printf(a, "%s/try", dir), text,
	    TRY_BYTES, out_why);
	script_files_remove(dir);
	return ret;
}
