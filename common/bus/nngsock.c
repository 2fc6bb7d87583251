#include "common/bus/nngsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include "common/base/mem.h"
#include "common/bus/nnglisten.h"
#include "common/log/log.h"

/* Messages handed over in one turn; the descriptor stays readable, so that
 * the rest comes in the next one and timers are not starved. */
#define READ_BATCH 64
/* A raw header of the request protocol rides in front of the frame. */
#define MSG_MAX (FRAME_HEADER_LEN + FRAME_BODY_MAX + 16)
/* A scheduler that was restarted is back within a few of the first tries; one
 * that stays away costs some six tries a second and link.  nng waits at random
 * up to the present limit, which doubles. */
#define RECONNECT_MIN_MS 20
#define RECONNECT_MAX_MS 500
/* Closing takes some milliseconds. */
#define CLOSE_WAIT_S 2

struct pipe_event {
	struct pipe_event *next;
	uint32_t pipe;
	bool is_up;
};

struct nngsock {
	const struct nngsock_ops *ops;
	void *arg;
	nng_socket sock;
	bool is_open;
	struct nnglisten *listen; /* NULL: it does not */
	nng_dialer dialer;        /* id 0: none */
	/* The one in use, and the one before: a handshake of nng's threads may
	 * be about to take its own reference. */
	nng_tls_config *tls[2];
	struct event *recv_ev;
	struct event *wake_ev;
	int wake_fd;
	/* Pushed by nng's threads, newest first; taken whole by the loop.  A
	 * list and not a pipe(2): it can't be full, so no event is lost. */
	_Atomic(struct pipe_event *) pipe_events;
	struct nngsock *next_left;
};

static const struct {
	int (*open)(nng_socket *);
	int recv_buf; /* 0: the role has no such queue */
	int send_buf;
} roles[NNGSOCK_ROLE_COUNT] = {
    [NNGSOCK_PULL] = {nng_pull0_open, 0, 0},
    /* All replies of one turn go through the one send queue. */
    [NNGSOCK_REP] = {nng_rep0_open_raw, 128, 2048},
    [NNGSOCK_PUB] = {nng_pub0_open, 0, 128},
    [NNGSOCK_PUSH] = {nng_push0_open, 0, 64},
    [NNGSOCK_REQ] = {nng_req0_open_raw, 64, 64},
    [NNGSOCK_SUB] = {nng_sub0_open, 256, 0},
};

/* --- on nng's threads --- */

/*
 * nng 1.5 takes EPIPE, which is what a Unix socket says of a peer that
 * connected and went at once, for the end of its own listener: from then on
 * connections are taken and greeted, and nothing is ever read from them.  A
 * reset is to it what it is, the fault of that peer.  This function stands in
 * the place of the C library's for the whole process.
 */
__attribute__((visibility("default"))) ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t n = (ssize_t)syscall(SYS_sendmsg, fd, msg, flags);

	if (n < 0 && errno == EPIPE)
		errno = ECONNRESET;
	return n;
}

static void
push_pipe_event(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct nngsock *s = arg;
	struct pipe_event *e = mem_zalloc(sizeof(*e));
	const uint64_t one = 1;
	ssize_t n;

	e->pipe = (uint32_t)nng_pipe_id(pipe);
	/* Before the pipe starts, not after: only then it is certain that
	 * this comes ahead of its messages and of its end. */
	e->is_up = ev == NNG_PIPE_EV_ADD_PRE;
	e->next = atomic_load_explicit(&s->pipe_events, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&s->pipe_events, &e->next,
	    e, memory_order_release, memory_order_relaxed))
		;
	n = write(s->wake_fd, &one, sizeof(one));
	(void)n; /* full means that it is readable already */
}

/* --- on the loop --- */

void
nngsock_read_pipes(struct nngsock *s)
{
	struct pipe_event *newest, *e, *oldest = NULL;

	newest = atomic_exchange_explicit(&s->pipe_events, NULL,
	    memory_order_acquire);
	while (newest) {
		e = newest;
		newest = e->next;
		e->next = oldest;
		oldest = e;
	}
	while (oldest) {
		e = oldest;
		oldest = e->next;
		s->ops->on_pipe(s->arg, e->pipe, e->is_up);
		free(e);
	}
}

static void
read_msgs(struct nngsock *s)
{
	nng_msg *m;
	int rv;

	for (int i = 0; i < READ_BATCH; i++) {
		rv = nng_recvmsg(s->sock, &m, NNG_FLAG_NONBLOCK);
		if (rv != 0)
			return; /* NNG_EAGAIN; no other outlives the turn */
		s->ops->on_msg(s->arg, m);
		nng_msg_free(m);
	}
}

void
nngsock_read(struct nngsock *s)
{
	if (s->ops->on_pipe)
		nngsock_read_pipes(s);
	if (s->recv_ev)
		read_msgs(s);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	nngsock_read(arg);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;
	ssize_t n;

	n = read(fd, &count, sizeof(count));
	(void)n; /* the list says what there is */
	nngsock_read_pipes(arg);
}

uint32_t
nngsock_pipe_of(struct nng_msg *m)
{
	return (uint32_t)nng_msg_get_pipe(m).id;
}

void
bus_peer_text(uint32_t pipe, char out[BUS_PEER_TEXT_MAX])
{
	const nng_pipe p = {.id = pipe};
	nng_sockaddr at;
	uint64_t pid;

	(void)snprintf(out, BUS_PEER_TEXT_MAX, "a peer that is gone");
	if (nng_pipe_get_uint64(p, NNG_OPT_IPC_PEER_PID, &pid) == 0)
		(void)snprintf(out, BUS_PEER_TEXT_MAX, "pid %llu",
		    (unsigned long long)pid);
	if (nng_pipe_get_addr(p, NNG_OPT_REMADDR, &at) != 0)
		return;
	if (at.s_family == NNG_AF_INET)
		(void)inet_ntop(AF_INET, &at.s_in.sa_addr, out,
		    BUS_PEER_TEXT_MAX);
	else if (at.s_family == NNG_AF_INET6)
		(void)inet_ntop(AF_INET6, at.s_in6.sa_addr, out,
		    BUS_PEER_TEXT_MAX);
}

/* --- construction --- */

static struct event *
watch(struct loop *l, int fd, event_callback_fn fn, struct nngsock *s)
{
	struct event *ev;

	ev = event_new(loop_base(l), fd, EV_READ | EV_PERSIST, fn, s);
	if (!ev || event_add(ev, NULL) != 0)
		log_fatal("BUS-EVENT", "libevent refused descriptor %d", fd);
	return ev;
}

static int
set_options(struct nngsock *s, enum nngsock_role role)
{
	int rv;

	rv = nng_socket_set_size(s->sock, NNG_OPT_RECVMAXSZ, MSG_MAX);
	if (rv == 0)
		rv = nng_socket_set_ms(s->sock, NNG_OPT_RECONNMINT,
		    RECONNECT_MIN_MS);
	if (rv == 0)
		rv = nng_socket_set_ms(s->sock, NNG_OPT_RECONNMAXT,
		    RECONNECT_MAX_MS);
	if (rv == 0 && roles[role].recv_buf > 0)
		rv = nng_socket_set_int(s->sock, NNG_OPT_RECVBUF,
		    roles[role].recv_buf);
	if (rv == 0 && roles[role].send_buf > 0)
		rv = nng_socket_set_int(s->sock, NNG_OPT_SENDBUF,
		    roles[role].send_buf);
	if (rv == 0 && role == NNGSOCK_SUB)
		rv = nng_socket_set(s->sock, NNG_OPT_SUB_SUBSCRIBE, "", 0);
	return rv;
}

static int
set_callbacks(struct nngsock *s, struct loop *l)
{
	int fd, rv = 0;

	if (s->ops->on_msg) {
		rv = nng_socket_get_int(s->sock, NNG_OPT_RECVFD, &fd);
		if (rv != 0)
			return rv;
		s->recv_ev = watch(l, fd, on_readable, s);
	}
	if (s->ops->on_pipe) {
		s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (s->wake_fd < 0)
			return NNG_ENOFILES;
		s->wake_ev = watch(l, s->wake_fd, on_wake, s);
		rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_PRE,
		    push_pipe_event, s);
		if (rv == 0)
			rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_REM_POST,
			    push_pipe_event, s);
	}
	return rv;
}

rc
nngsock_new(struct loop *l, enum nngsock_role role,
    const struct nngsock_ops *ops, void *arg, struct nngsock **out)
{
	struct nngsock *s = mem_zalloc(sizeof(*s));
	int rv;

	s->ops = ops;
	s->arg = arg;
	s->wake_fd = -1;
	rv = roles[role].open(&s->sock);
	if (rv == 0) {
		s->is_open = true;
		rv = set_options(s, role);
	}
	if (rv == 0)
		rv = set_callbacks(s, l);
	if (rv != 0) {
		log_error("BUS-SOCKET", "nng: %s", nng_strerror(rv));
		nngsock_free(s);
		return RC_IO;
	}

	*out = s;
	return RC_OK;
}

/* --- the end --- */

/*
 * When a connection is closed here while a message is coming in, nng 1.5 may
 * forget to end that receive (its pull request 1636).  The one thread that
 * buries connections then waits for it for ever, and so does everybody who
 * closes a socket.  Closing therefore runs on a thread that can be left
 * behind.
 */
static atomic_bool is_stuck;
/* What nng's threads may still use, to the end of the process. */
static struct nngsock *left_behind;

static void *
close_it(void *arg)
{
	/* It only fails when closed already. */
	(void)nng_close((nng_socket){.id = (uint32_t)(uintptr_t)arg});
	return NULL;
}

static bool
join_in_time(pthread_t thread)
{
	struct timespec until;

#ifdef __SANITIZE_THREAD__ /* whose runtime knows no join by another clock */
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WAIT_S;
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
#else
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLOSE_WAIT_S;
	return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0;
#endif
}

/* Waits for the callbacks under way; none begins after true. */
static bool
close_in_time(nng_socket sock)
{
	pthread_t thread;

	if (atomic_load(&is_stuck))
		return false;
	if (pthread_create(&thread, NULL, close_it,
		(void *)(uintptr_t)sock.id) != 0) {
		(void)close_it((void *)(uintptr_t)sock.id);
		return true;
	}
	if (join_in_time(thread))
		return true;
	(void)pthread_detach(thread);
	atomic_store(&is_stuck, true);
	log_warn("BUS-STUCK", "nng does not end its connections any more");
	return false;
}

bool
nngsock_is_stuck(void)
{
	return atomic_load(&is_stuck);
}

void
nngsock_free(struct nngsock *s)
{
	struct pipe_event *e;

	if (!s)
		return;
	if (s->recv_ev)
		event_free(s->recv_ev); /* before nng closes the descriptor */
	if (s->wake_ev)
		event_free(s->wake_ev);
	if (s->is_open && !close_in_time(s->sock)) {
		nnglisten_free(s->listen);
		s->listen = NULL;
		s->next_left = left_behind;
		left_behind = s;
		return;
	}
	nnglisten_free(s->listen);
	for (size_t i = 0; i < ARRAY_LEN(s->tls); i++)
		if (s->tls[i])
			nng_tls_config_free(s->tls[i]);
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	e = atomic_exchange(&s->pipe_events, NULL);
	while (e) {
		struct pipe_event *next = e->next;

		free(e);
		e = next;
	}
	free(s);
}

/* --- addresses --- */

static void
hold_tls(struct nngsock *s, nng_tls_config *cfg)
{
	if (!cfg)
		return;
	nng_tls_config_hold(cfg);
	if (s->tls[1])
		nng_tls_config_free(s->tls[1]);
	s->tls[1] = s->tls[0];
	s->tls[0] = cfg;
}

rc
nngsock_listen(struct nngsock *s, const struct bus_addr *addr,
    enum bus_link link, struct nng_tls_config *cfg)
{
	rc ret;

	ret = nnglisten_new(s->sock, addr, link, cfg, &s->listen);
	if (ret == RC_OK)
		hold_tls(s, cfg);
	return ret;
}

rc
nngsock_dial(struct nngsock *s, const struct bus_addr *addr, enum bus_link link,
    struct nng_tls_config *cfg)
{
	const char *url = addr->url[link];
	nng_dialer d;
	int rv;

	rv = nng_dialer_create(&d, s->sock, url);
	if (rv == 0 && cfg)
		rv = nng_dialer_set_ptr(d, NNG_OPT_TLS_CONFIG, cfg);
	if (rv == 0)
		rv = nng_dialer_start(d, NNG_FLAG_NONBLOCK);
	if (rv != 0) {
		log_error("BUS-SOCKET", "cannot dial %s: %s", url,
		    nng_strerror(rv));
		return RC_IO;
	}
	s->dialer = d;
	hold_tls(s, cfg);
	return RC_OK;
}

void
nngsock_set_tls(struct nngsock *s, struct nng_tls_config *cfg)
{
	rc ret = RC_OK;
	int rv = 0;

	if (s->listen)
		ret = nnglisten_set_tls(s->listen, cfg);
	if (s->dialer.id != 0)
		rv = nng_dialer_set_ptr(s->dialer, NNG_OPT_TLS_CONFIG, cfg);
	if (rv != 0)
		log_error("BUS-TLS", "nng: %s", nng_strerror(rv));
	if (ret == RC_OK && rv == 0)
		hold_tls(s, cfg);
}

void
nngsock_look(struct nngsock *s)
{
	if (s->listen)
		nnglisten_look(s->listen);
}

uint64_t
nngsock_refused(struct nngsock *s)
{
	return s->listen ? nnglisten_refused(s->listen) : 0;
}

/* --- sending --- */

rc
nngsock_send(struct nngsock *s, const uint32_t *head, size_t n_head,
    const struct frame *f)
{
	struct buf b;
	nng_msg *m = NULL;
	int rv = 0;
	rc ret;

	buf_init(&b, FRAME_HEADER_LEN + FRAME_BODY_MAX + 1);
	ret = frame_encode(f, &b);
	if (ret != RC_OK) {
		buf_fini(&b);
		return ret;
	}
	rv = nng_msg_alloc(&m, 0);
	if (rv == 0)
		rv = nng_msg_append(m, b.data, b.len);
	buf_fini(&b);
	for (size_t i = 0; i < n_head && rv == 0; i++)
		rv = nng_msg_header_append_u32(m, head[i]);
	if (rv == 0)
		rv = nng_sendmsg(s->sock, m, NNG_FLAG_NONBLOCK);
	if (rv == 0)
		return RC_OK; /* nng owns the message now */
	if (m)
		nng_msg_free(m);
	return rv == NNG_EAGAIN ? RC_BUSY : RC_IO;
}
