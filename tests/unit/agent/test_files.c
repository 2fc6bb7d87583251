/*
 * test_files: whole or not at all, whatever stands in the way.
 */
#include "agent/files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static void
write_replaces_whole(void)
{
	int fd;

	(void)sandbox_new();
	fd = sandbox_dir_fd("d");
	CHECK_INT(files_write(fd, "f", "old", 3, 0644), RC_OK);
	CHECK_INT(files_write(fd, "f", "newer", 5, 0600), RC_OK);
	CHECK_STR(sandbox_get("d/f"), "newer");
	CHECK_INT(sandbox_mode("d/f"), 0600);
	CHECK_INT(sandbox_count("d"), 1);
	CHECK_INT(files_write(fd, "empty", "", 0, 0600), RC_OK);
	CHECK_STR(sandbox_get("d/empty"), "");
	close(fd);
}

static void
write_gets_past_leftovers(void)
{
	int fd;

	(void)sandbox_new();
	fd = sandbox_dir_fd("d");
	sandbox_put("d/f.tmp", "half");
	CHECK(symlink("/etc/passwd", sandbox_path("d/g.tmp")) == 0);
	CHECK_INT(files_write(fd, "f", "whole", 5, 0600), RC_OK);
	CHECK_INT(files_write(fd, "g", "whole", 5, 0600), RC_OK);
	CHECK_STR(sandbox_get("d/f"), "whole");
	CHECK(!sandbox_link("d/g"));
	CHECK_INT(sandbox_count("d"), 2);
	close(fd);
}

static void
write_that_does_not_fit_leaves_the_old(void)
{
	char big[8192];
	rc ret;
	int fd;

	(void)sandbox_new();
	memset(big, 'x', sizeof(big));
	fd = sandbox_dir_fd("d");
	CHECK_INT(files_write(fd, "f", "old", 3, 0600), RC_OK);
	sandbox_limit_writes(1000);
	errno = 0;
	ret = files_write(fd, "f", big, sizeof(big), 0600);
	sandbox_limit_writes(0);
	CHECK_INT(ret, RC_IO);
	CHECK_INT(errno, EFBIG);
	CHECK_STR(sandbox_get("d/f"), "old");
	CHECK_INT(sandbox_count("d"), 1);
	close(fd);
}

static void
write_refuses_long_names(void)
{
	char name[600];
	int fd;

	(void)sandbox_new();
	fd = sandbox_dir_fd("d");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CHECK_INT(files_write(fd, name, "x", 1, 0600), RC_INVALID);
	name[300] = '\0'; /* past what a file system takes */
	CHECK_INT(files_write(fd, name, "x", 1, 0600), RC_IO);
	CHECK_INT(errno, ENAMETOOLONG);
	CHECK_INT(sandbox_count("d"), 0);
	close(fd);
}

static void
read_is_bounded_and_plain(void)
{
	struct arena *a = sandbox_new();
	char *text = NULL;
	size_t len = 0;
	int fd = sandbox_dir_fd("d");

	sandbox_put("d/f", "0123456789");
	CHECK_INT(files_read(a, fd, "f", 10, &text, &len), RC_OK);
	CHECK_STR(text, "0123456789");
	CHECK_INT(len, 10);
	CHECK_INT(files_read(a, fd, "f", 9, &text, &len), RC_TOO_LARGE);
	CHECK_INT(files_read(a, fd, "gone", 9, &text, &len), RC_NOT_FOUND);
	CHECK_INT(files_read(a, fd, ".", 9, &text, &len), RC_IO);
	CHECK(symlink("f", sandbox_path("d/link")) == 0);
	CHECK_INT(files_read(a, fd, "link", 10, &text, &len), RC_IO);
	CHECK(mkfifo(sandbox_path("d/fifo"), 0600) == 0);
	CHECK_INT(files_read(a, fd, "fifo", 10, &text, &len), RC_IO);
	close(fd);
}

static void
remove_of_nothing_is_fine(void)
{
	int fd;

	(void)sandbox_new();
	fd = sandbox_dir_fd("d");
	sandbox_put("d/f", "x");
	CHECK_INT(files_remove(fd, "f"), RC_OK);
	CHECK_INT(files_remove(fd, "f"), RC_OK);
	CHECK(mkdir(sandbox_path("d/sub"), 0700) == 0);
	CHECK_INT(files_remove(fd, "sub"), RC_IO);
	close(fd);
}

static void
symlink_replaces(void)
{
	int fd;

	(void)sandbox_new();
	fd = sandbox_dir_fd("d");
	sandbox_put("d/file", "x");
	CHECK(symlink("old", sandbox_path("d/temp")) == 0);
	CHECK_INT(files_symlink(fd, "one", "l", "temp"), RC_OK);
	CHECK_STR(sandbox_link("d/l"), "one");
	CHECK_INT(files_symlink(fd, "two", "l", "temp"), RC_OK);
	CHECK_STR(sandbox_link("d/l"), "two");
	CHECK_INT(files_symlink(fd, "two", "file", "temp"), RC_OK);
	CHECK_STR(sandbox_link("d/file"), "two");
	CHECK(!sandbox_has("d/temp"));
	CHECK_INT(files_mkdir(fd, "dir", 0700), RC_OK);
	CHECK_INT(files_symlink(fd, "two", "dir", "temp"), RC_IO);
	CHECK(!sandbox_has("d/temp"));
	CHECK_INT(files_symlink(fd, "two", "no/l", "temp"), RC_IO);
	/* somebody's own file of that name */
	sandbox_put("d/temp", "THEIRS");
	CHECK_INT(files_symlink(fd, "two", "l2", "temp"), RC_IO);
	CHECK_INT(errno, EEXIST);
	CHECK_STR(sandbox_get("d/temp"), "THEIRS");
	close(fd);
}

static void
mkdir_of_what_is_there_is_fine(void)
{
	int fd;

	(void)sandbox_new();
	fd = sandbox_dir_fd("d");
	CHECK_INT(files_mkdir(fd, "e", 0755), RC_OK);
	CHECK_INT(files_mkdir(fd, "e", 0755), RC_OK);
	CHECK_INT(files_mkdir(fd, "no/d", 0755), RC_IO);
	close(fd);
}

CHECK_MAIN(CHECK_ROW(write_replaces_whole),
    CHECK_ROW(write_gets_past_leftovers),
    CHECK_ROW(write_that_does_not_fit_leaves_the_old),
    CHECK_ROW(write_refuses_long_names), CHECK_ROW(read_is_bounded_and_plain),
    CHECK_ROW(remove_of_nothing_is_fine), CHECK_ROW(symlink_replaces),
    CHECK_ROW(mkdir_of_what_is_there_is_fine))
