#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char dir[] = "/tmp/test_file.XXXXXX";
static char path[64];

static const char *
in_dir(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
put(const char *name, const char *text, size_t len)
{
	FILE *f = fopen(in_dir(name), "w");

	CHECK(f != NULL);
	CHECK_INT(fwrite(text, 1, len, f), len);
	CHECK_INT(fclose(f), 0);
}

static void
test_cap(void)
{
	struct arena *a = arena_new();
	char *text;
	size_t len;

	put("f", "1234\0006789", 9);
	CHECK_INT(file_read(a, in_dir("f"), 9, &text, &len), RC_OK);
	CHECK_INT(len, 9);
	CHECK(memcmp(text, "1234\0006789", 10) == 0); /* and its NUL */
	CHECK_INT(file_read(a, in_dir("f"), 9, &text, NULL), RC_OK);
	CHECK_INT(file_read(a, in_dir("f"), 8, &text, &len), RC_TOO_LARGE);
	put("empty", "", 0);
	CHECK_INT(file_read(a, in_dir("empty"), 0, &text, &len), RC_OK);
	CHECK_INT(len, 0);
	CHECK_STR(text, "");
	arena_free(a);
}

/* What is no regular file is refused at once, and nobody waits for a writer. */
static void
test_kinds(void)
{
	struct arena *a = arena_new();
	char *text;
	size_t len;

	CHECK_INT(file_read(a, in_dir("gone"), 9, &text, &len), RC_NOT_FOUND);
	CHECK_INT(file_read(a, dir, 9, &text, &len), RC_IO);
	CHECK_INT(errno, EISDIR);
	CHECK_INT(mkfifo(in_dir("fifo"), 0600), 0);
	CHECK_INT(file_read(a, path, 9, &text, &len), RC_IO);
	CHECK_INT(file_read(a, "/dev/zero", 9, &text, &len), RC_IO);
	/* Its size says nothing of what is in it. */
	CHECK_INT(file_read(a, "/proc/self/status", 9, &text, &len),
	    RC_TOO_LARGE);
	arena_free(a);
}

static void
test_links(void)
{
	struct arena *a = arena_new();
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	char *text;
	size_t len;

	put("f", "x", 1);
	CHECK_INT(symlink("f", in_dir("link")), 0);
	CHECK_INT(file_read(a, path, 9, &text, &len), RC_OK);
	CHECK_INT(file_read_at(a, fd, "link", 0, 9, &text, &len), RC_OK);
	CHECK_INT(file_read_at(a, fd, "link", O_NOFOLLOW, 9, &text, &len),
	    RC_IO);
	CHECK_INT(close(fd), 0);
	arena_free(a);
}

static void
test_descriptor(void)
{
	char room[4];
	size_t len;
	int fds[2];

	CHECK_INT(pipe(fds), 0);
	CHECK_INT(write(fds[1], "12345678", 8), 8);
	CHECK_INT(close(fds[1]), 0);
	CHECK_INT(file_read_fd(fds[0], room, sizeof(room), &len), RC_TOO_LARGE);
	/* The byte that was one too many is gone. */
	CHECK_INT(file_read_fd(fds[0], room, sizeof(room), &len), RC_OK);
	CHECK_INT(len, 3);
	CHECK(memcmp(room, "678", 3) == 0);
	CHECK_INT(close(fds[0]), 0);
	CHECK_INT(file_read_fd(-1, room, sizeof(room), &len), RC_IO);
}

int
main(void)
{
	static const struct check_test tests[] = {CHECK_ROW(test_cap),
	    CHECK_ROW(test_kinds), CHECK_ROW(test_links),
	    CHECK_ROW(test_descriptor)};
	static const char *const made[] = {"f", "empty", "fifo", "link"};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = check_run(tests, sizeof(tests) / sizeof(tests[0]));
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		(void)unlink(in_dir(made[i]));
	return rmdir(dir) != 0 || failed;
}
