/*
 * test_secret: key material, and the files it may come from.
 */
#include "common/base/secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char dir[] = "/tmp/test_secret_XXXXXX";
static char path[64];

static void
put_file(const void *bytes, size_t len, mode_t mode)
{
	int fd;

	(void)unlink(path); /* of the last test, perhaps not writable */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	CHECK(write(fd, bytes, len) == (ssize_t)len);
	CHECK(fchmod(fd, mode) == 0);
	CHECK(close(fd) == 0);
}

static void
test_copy(void)
{
	char bytes[] = "a\0b";
	struct secret *s = secret_new(bytes, 3);

	bytes[0] = 'x';
	CHECK_INT(secret_len(s), 3);
	CHECK(memcmp(secret_bytes(s), "a\0b", 3) == 0);
	secret_free(s);
	s = secret_new(NULL, 0);
	CHECK_INT(secret_len(s), 0);
	secret_free(s);
	secret_free(NULL);
}

static void
test_file(void)
{
	struct secret *s = NULL;

	put_file("hush\n\n", 6, 0600);
	CHECK_INT(secret_new_from_file(path, &s), RC_OK);
	CHECK_INT(secret_len(s), 5); /* one newline goes, not two */
	CHECK(memcmp(secret_bytes(s), "hush\n", 5) == 0);
	secret_free(s);
	put_file("x", 1, 0440); /* a group may read */
	CHECK_INT(secret_new_from_file(path, &s), RC_OK);
	CHECK_INT(secret_len(s), 1);
	secret_free(s);
	put_file("", 0, 0600);
	CHECK_INT(secret_new_from_file(path, &s), RC_OK);
	CHECK_INT(secret_len(s), 0);
	secret_free(s);
}

static void
test_file_refused(void)
{
	struct secret *s = NULL;
	char *big = calloc(1, 65537);

	put_file("hush", 4, 0604);
	CHECK_INT(secret_new_from_file(path, &s), RC_INVALID);
	put_file("hush", 4, 0620);
	CHECK_INT(secret_new_from_file(path, &s), RC_INVALID);
	CHECK_INT(secret_new_from_file(dir, &s), RC_INVALID);
	CHECK_INT(secret_new_from_file("/nonexistent/x", &s), RC_IO);
	CHECK(big != NULL);
	put_file(big, 65536, 0600);
	CHECK_INT(secret_new_from_file(path, &s), RC_OK);
	CHECK_INT(secret_len(s), 65536);
	secret_free(s);
	s = NULL;
	put_file(big, 65537, 0600);
	CHECK_INT(secret_new_from_file(path, &s), RC_TOO_LARGE);
	CHECK(s == NULL);
	free(big);
	/* a pipe without a writer must be refused, not waited for */
	CHECK(unlink(path) == 0);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK_INT(secret_new_from_file(path, &s), RC_INVALID);
}

static void
test_setup(void)
{
	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/key", dir);
}

static void
test_teardown(void)
{
	CHECK(unlink(path) == 0);
	CHECK(rmdir(dir) == 0);
}

CHECK_MAIN(CHECK_ROW(test_setup), CHECK_ROW(test_copy), CHECK_ROW(test_file),
    CHECK_ROW(test_file_refused), CHECK_ROW(test_teardown))
