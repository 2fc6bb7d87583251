/*
 * Closing a socket when nng never comes back from it.
 */
#include "common/bus/nngsock.h"

#include <dlfcn.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <nng/nng.h>

#include "tests/unit/check.h"

static const struct nngsock_ops no_ops = {NULL, NULL};
static atomic_bool is_blocking;
static sem_t go_on;

/* In the place of nng's: the program's own symbols come first. */
int
nng_close(nng_socket sock)
{
	int (*real)(nng_socket);

	*(void **)&real = dlsym(RTLD_NEXT, "nng_close");
	if (atomic_load(&is_blocking))
		(void)sem_wait(&go_on);
	return real(sock);
}

static struct nngsock *
make(struct loop *l)
{
	struct nngsock *s = NULL;

	CHECK_INT(nngsock_new(l, NNGSOCK_PUSH, &no_ops, NULL, &s), RC_OK);
	return s;
}

static void
test_stuck(void)
{
	struct nngsock *first, *second, *third;
	struct loop *l;

	CHECK_INT(sem_init(&go_on, 0, 0), 0);
	CHECK_INT(loop_new(&l), RC_OK);
	first = make(l);
	second = make(l);
	third = make(l);
	nngsock_free(NULL);
	nngsock_free(first);
	CHECK(!nngsock_is_stuck());

	atomic_store(&is_blocking, true);
	nngsock_free(second); /* comes back */
	CHECK(nngsock_is_stuck());
	nngsock_free(third); /* asks nng no more, and comes back as well */
	CHECK(nngsock_is_stuck());
	(void)sem_post(&go_on);
	loop_free(l);
}

CHECK_MAIN(CHECK_ROW(test_stuck))
