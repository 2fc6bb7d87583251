/*
 * The bus's socket files: their mode, whose they are, and what becomes of them
 * while a process runs.
 */
#include "common/bus/bus.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "tests/unit/common/bus/rig.h"

#define LONG_MS 10000

static struct rig rig;
static struct rig_server a;
static struct rig_client c;
static char url[160];

static mode_t
mode_of(const char *suffix)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s%s", url + 6, suffix);
	if (stat(path, &st) != 0)
		return 0;
	return st.st_mode & 07777;
}

static void
test_socket_modes(void)
{
	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	CHECK_INT(mode_of(".hint"), 0600);
	CHECK_INT(mode_of(".work"), 0600);
	CHECK_INT(mode_of(".events"), 0600);
	rig_server_stop(&a);
	CHECK_INT(chmod(rig.dir, 0770), 0);
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	CHECK_INT(mode_of(".hint"), 0660);
	CHECK_INT(mode_of(".work"), 0660);
	CHECK_INT(mode_of(".events"), 0660);
	rig_stop(&rig, &c, &a, NULL);
}

static void
set_path(struct sockaddr_un *sun, const char *suffix)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s%s", url + 6, suffix);
	CHECK(strlen(path) < sizeof(sun->sun_path));
	memcpy(sun->sun_path, path, strlen(path) + 1);
}

/* A Unix socket that was never nng's, at the address's path with suffix. */
static int
listen_unix(const char *suffix)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	set_path(&sun, suffix);
	CHECK(fd >= 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	/* Room for every look of a listener of ours: nobody accepts. */
	CHECK_INT(listen(fd, SOMAXCONN), 0);
	return fd;
}

/* What kill -9 leaves behind: a path that nobody listens on. */
static void
test_stale_socket_file(void)
{
	const char *urls[] = {url, NULL};

	CHECK(rig_start(&rig, url));
	CHECK_INT(close(listen_unix(".hint")), 0);
	CHECK_INT(close(listen_unix(".work")), 0);
	CHECK_INT(close(listen_unix(".events")), 0);
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	rig_stop(&rig, &c, &a, NULL);
}

static bool
can_connect(const char *suffix)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int rv;

	set_path(&sun, suffix);
	rv = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	(void)close(fd);
	return rv == 0;
}

/* Somebody listens on one of the three: he keeps it, and nothing of ours
 * stays on the others. */
static void
test_address_taken(void)
{
	int fd;

	CHECK(rig_start(&rig, url));
	fd = listen_unix(".events");
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_BUSY);
	CHECK(can_connect(".events"));
	CHECK(!can_connect(".hint"));
	CHECK(!can_connect(".work"));
	CHECK_INT(close(fd), 0);
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	rig_stop(&rig, &c, &a, NULL);
}

/* Whoever connects and is gone at once does no harm to those that come after,
 * as a look whether somebody listens there does. */
static void
test_gone_at_once(void)
{
	const char *urls[] = {url, NULL};

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	for (int i = 0; i < 200; i++) {
		CHECK(can_connect(".hint"));
		CHECK(can_connect(".work"));
		CHECK(can_connect(".events"));
		rig_pass(&rig, 1);
	}
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	rig_stop(&rig, &c, &a, NULL);
}

/* --- the socket file goes while the process runs --- */

static void
path_with(const char *suffix, char out[200])
{
	(void)snprintf(out, 200, "%s%s", url + 6, suffix);
}

static void
remove_files(void)
{
	static const char *const suffixes[] = {".hint", ".work", ".events"};
	char path[200];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		path_with(suffixes[i], path);
		CHECK_INT(unlink(path), 0);
	}
}

static bool
are_back(void *arg)
{
	return can_connect(".hint") && can_connect(".work") &&
	       can_connect(".events");
}

/* Who comes later finds the way; who was there is not disturbed. */
static void
test_removed_socket_files(void)
{
	const char *urls[] = {url, NULL};
	static struct rig_client before;
	struct rig_reply reply;

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	CHECK_INT(rig_client_start(&rig, &before, urls, NULL), RC_OK);
	CHECK(rig_follows(&rig, &before, 1, LONG_MS));
	for (int round = 0; round < 2; round++) {
		remove_files();
		CHECK(rig_until(&rig, are_back, NULL, LONG_MS));
		CHECK_INT(mode_of(".work"), 0600);
		CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
		CHECK(rig_follows(&rig, &c, 1, LONG_MS));
		rig_client_stop(&c);
	}
	CHECK_INT(before.leaders, 1);
	CHECK_INT(rig_ask(&before, "{}", LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));
	rig_client_stop(&before);
	rig_stop(&rig, &c, &a, NULL);
}

/* The path is another's by now: it stays his, at the end of ours too, and
 * becomes ours again when he is dead. */
static void
test_replaced_socket_file(void)
{
	const char *urls[] = {url, NULL};
	char path[200];
	int fd;

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	path_with(".work", path);
	CHECK_INT(unlink(path), 0);
	fd = listen_unix(".work");
	rig_pass(&rig, 1500); /* longer than from one look to the next */
	CHECK(can_connect(".work"));
	CHECK_INT(accept(fd, NULL, NULL) >= 0, 1);
	CHECK_INT(close(fd), 0);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	rig_client_stop(&c);

	CHECK_INT(unlink(path), 0);
	fd = listen_unix(".work");
	rig_server_stop(&a);
	CHECK(can_connect(".work"));
	CHECK_INT(close(fd), 0);
	CHECK_INT(unlink(path), 0);
	rig_stop(&rig, &c, &a, NULL);
}

CHECK_MAIN(CHECK_ROW(test_socket_modes), CHECK_ROW(test_stale_socket_file),
    CHECK_ROW(test_address_taken), CHECK_ROW(test_gone_at_once),
    CHECK_ROW(test_removed_socket_files), CHECK_ROW(test_replaced_socket_file))
