#include "apiserver/edge/sockbio.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/log/log.h"

static BIO_METHOD *method;

/* The descriptor and the mark are all that there is: they fit a pointer. */
static void
set_state(BIO *b, int fd, bool has_more)
{
	intptr_t state = (intptr_t)fd * 2 + (has_more ? 1 : 0);

	BIO_set_data(b, (void *)state);
}

static int
fd_of(BIO *b)
{
	return (int)((intptr_t)BIO_get_data(b) >> 1);
}

static bool
has_more(BIO *b)
{
	return ((intptr_t)BIO_get_data(b) & 1) != 0;
}

static int
sockbio_read(BIO *b, char *out, int len)
{
	int got = (int)recv(fd_of(b), out, (size_t)len, 0);

	BIO_clear_retry_flags(b);
	if (got < 0 && BIO_sock_should_retry(got))
		BIO_set_retry_read(b);
	else if (got == 0)
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
	return got;
}

static int
sockbio_write(BIO *b, const char *in, int len)
{
	int flags = MSG_NOSIGNAL | (has_more(b) ? MSG_MORE : 0);
	int put = (int)send(fd_of(b), in, (size_t)len, flags);

	BIO_clear_retry_flags(b);
	if (put < 0 && BIO_sock_should_retry(put))
		BIO_set_retry_write(b);
	return put;
}

static long
get_fd(BIO *b, int *out)
{
	if (out)
		*out = fd_of(b);
	return fd_of(b);
}

static long
sockbio_ctrl(BIO *b, int cmd, long n, void *p)
{
	switch (cmd) {
	case BIO_C_GET_FD:
		return get_fd(b, p);
	case BIO_CTRL_EOF:
		return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_SET_CLOSE: /* the socket is another's in any case */
		return 1;
	default:
		return 0;
	}
}

static int
sockbio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

static void
make_method(void)
{
	int type = BIO_get_new_index();

	if (type < 0)
		return;
	/* Those who ask a session for its descriptor look for such a type. */
	method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR,
	    "socket");
	if (!method)
		return;
	(void)BIO_meth_set_read(method, sockbio_read);
	(void)BIO_meth_set_write(method, sockbio_write);
	(void)BIO_meth_set_ctrl(method, sockbio_ctrl);
	(void)BIO_meth_set_create(method, sockbio_create);
}

BIO *
sockbio_new(int fd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *b = NULL;

	(void)pthread_once(&once, make_method);
	if (method)
		b = BIO_new(method);
	if (!b)
		log_fatal("SOCKBIO-MEMORY", "out of memory");
	set_state(b, fd, false);
	return b;
}

void
sockbio_set_more(BIO *b, bool more)
{
	set_state(b, fd_of(b), more);
}
