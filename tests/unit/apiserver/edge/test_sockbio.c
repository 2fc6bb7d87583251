/*
 * test_sockbio: the socket below TLS.
 */
#include "apiserver/edge/sockbio.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"

struct pair {
	int fds[2];
	BIO *bio;
};

static void
pair_init(struct pair *p)
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fds),
	    0);
	p->bio = sockbio_new(p->fds[0]);
}

/* It does not own the socket. */
static void
pair_fini(struct pair *p)
{
	BIO_free(p->bio);
	CHECK(fcntl(p->fds[0], F_GETFD) >= 0);
	close(p->fds[0]);
	close(p->fds[1]);
}

static void
test_bytes(void)
{
	struct pair p;
	char got[8];

	pair_init(&p);
	CHECK_INT(BIO_read(p.bio, got, sizeof(got)), -1);
	CHECK(BIO_should_read(p.bio));
	CHECK_INT(write(p.fds[1], "abc", 3), 3);
	CHECK_INT(BIO_read(p.bio, got, sizeof(got)), 3);
	CHECK(memcmp(got, "abc", 3) == 0);
	CHECK(!BIO_should_retry(p.bio));
	CHECK_INT(BIO_write(p.bio, "de", 2), 2);
	sockbio_set_more(p.bio, true);
	CHECK_INT(BIO_write(p.bio, "f", 1), 1);
	sockbio_set_more(p.bio, false);
	CHECK_INT(BIO_write(p.bio, "g", 1), 1);
	CHECK_INT(read(p.fds[1], got, sizeof(got)), 4);
	CHECK(memcmp(got, "defg", 4) == 0);
	pair_fini(&p);
}

static void
test_end(void)
{
	struct pair p;
	char got[8];

	pair_init(&p);
	CHECK(!BIO_eof(p.bio));
	shutdown(p.fds[1], SHUT_WR);
	CHECK_INT(BIO_read(p.bio, got, sizeof(got)), 0);
	CHECK(!BIO_should_retry(p.bio));
	CHECK(BIO_eof(p.bio));
	pair_fini(&p);
}

/* A full socket is worth another try, one that nobody reads is not, and no
 * signal tells of it. */
static void
test_full_and_gone(void)
{
	static char much[1024 * 1024];
	struct pair p;
	int put;

	pair_init(&p);
	do
		put = BIO_write(p.bio, much, sizeof(much));
	while (put > 0);
	CHECK(BIO_should_write(p.bio));
	CHECK_INT(shutdown(p.fds[1], SHUT_RD), 0);
	CHECK_INT(BIO_write(p.bio, much, 1), -1);
	CHECK(!BIO_should_retry(p.bio));
	pair_fini(&p);
}

static void
test_descriptor(void)
{
	struct pair p;
	int fd = -1;

	pair_init(&p);
	CHECK_INT(BIO_get_fd(p.bio, &fd), p.fds[0]);
	CHECK_INT(fd, p.fds[0]);
	CHECK(BIO_find_type(p.bio, BIO_TYPE_DESCRIPTOR) == p.bio);
	CHECK_INT(BIO_flush(p.bio), 1);
	sockbio_set_more(p.bio, true);
	CHECK_INT(BIO_get_fd(p.bio, NULL), p.fds[0]);
	pair_fini(&p);
}

CHECK_MAIN(CHECK_ROW(test_bytes), CHECK_ROW(test_end),
    CHECK_ROW(test_full_and_gone), CHECK_ROW(test_descriptor))
