/*
 * events_listen: many clients that listen to live events, for the benchmark.
 *
 *     events_listen PORT CLIENTS SECONDS EVENTS < key
 *
 * Says "ready" once every stream has begun, then counts each event of each
 * client and how long ago it was changed by its own "at" (the clocks are one,
 * and that is a moment before the commit), until every client has had EVENTS,
 * or the time is over.  Prints one line:
 * clients that are left, events of the client that had fewest, events of all,
 * the milliseconds of the median, of 99 in 100, and the longest.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

enum {
	READ_MAX = 256 * 1024,
	LATE_MAX = 20000, /* ms; what is later counts as that */
	DAY_MS = 86400000,
	WAITS = 64,
	KEY_MAX = 256,
};

struct client {
	SSL *ssl;
	bool is_open;
	bool has_begun;
	uint64_t events;
	size_t held; /* of a line that is not whole */
	char line[4096];
};

static struct client *clients;
static int nclients, nbegun;
static uint64_t late[LATE_MAX + 1];

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
fail(const char *what)
{
	(void)fprintf(stderr, "events_listen: %s\n", what);
	exit(1);
}

static int64_t
two(const char *at)
{
	return (at[0] - '0') * 10 + (at[1] - '0');
}

/* data: {..."at":"2026-11-30T08:00:00.123456Z"...}: the time of the day. */
static void
take_event(struct client *c, const char *line, size_t len, int64_t now)
{
	static const char key[] = "\"at\":\"";
	const char *at = memmem(line, len, key, sizeof(key) - 1);
	int64_t ms;

	c->events++;
	if (!at || (size_t)(line + len - at) < sizeof(key) + 24)
		return;
	at += sizeof(key) - 1 + 11;
	ms = ((two(at) * 60 + two(at + 3)) * 60 + two(at + 6)) * 1000;
	if (at[8] == '.')
		ms += two(at + 9) * 10;
	ms = (now % DAY_MS - ms + DAY_MS) % DAY_MS;
	if (ms > DAY_MS / 2) /* it is a moment ahead of us */
		ms = 0;
	late[ms > LATE_MAX ? LATE_MAX : ms]++;
}

static void
take_line(struct client *c, const char *line, size_t len, int64_t now)
{
	if (len > 6 && memcmp(line, "data: ", 6) == 0)
		take_event(c, line, len, now);
	else if (!c->has_begun && len > 3 && memcmp(line, "id: ", 4) == 0) {
		c->has_begun = true;
		nbegun++;
	}
}

/* Chunks of the transfer coding are lines of their own here: no line of the
 * stream is longer than a chunk's piece, or is cut between two. */
static void
take_bytes(struct client *c, const char *bytes, size_t len, int64_t now)
{
	while (len > 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end ? (size_t)(end - bytes) : len;

		if (c->held == 0 && end) {
			take_line(c, bytes, n, now);
		} else if (c->held + n < sizeof(c->line)) {
			memcpy(c->line + c->held, bytes, n);
			c->held += n;
			if (end) {
				take_line(c, c->line, c->held, now);
				c->held = 0;
			}
		} else {
			fail("a line is too long");
		}
		n += end ? 1 : 0;
		bytes += n;
		len -= n;
	}
}

static void
read_some(struct client *c)
{
	static char bytes[READ_MAX];
	int n;

	while (c->is_open) {
		n = SSL_read(c->ssl, bytes, sizeof(bytes));
		if (n > 0) {
			take_bytes(c, bytes, (size_t)n, now_ms());
			continue;
		}
		if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ)
			return;
		c->is_open = false;
	}
}

static void
open_one(struct client *c, SSL_CTX *ctx, int port, const char *key, int poll)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
	char text[512];
	int len;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		fail("no connection");
	c->ssl = SSL_new(ctx);
	if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1 || SSL_connect(c->ssl) != 1)
		fail("no TLS");
	len = snprintf(text, sizeof(text),
	    "GET /api/v1/events?kind=certificate HTTP/1.1\r\n"
	    "Host: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n",
	    key);
	if (SSL_write(c->ssl, text, len) != len)
		fail("the request was not sent");
	c->is_open = true;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e) != 0)
		fail("no epoll");
}

static void
run_once(int poll)
{
	struct epoll_event found[WAITS];
	int n = epoll_wait(poll, found, WAITS, 100);

	for (int i = 0; i < n; i++)
		read_some(found[i].data.ptr);
}

static uint64_t
fewest(void)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < nclients; i++)
		least = clients[i].events < least ? clients[i].events : least;
	return least;
}

static int
quantile(uint64_t total, double part)
{
	uint64_t seen = 0;

	for (int ms = 0; ms <= LATE_MAX; ms++) {
		seen += late[ms];
		if ((double)seen >= part * (double)total && seen > 0)
			return ms;
	}
	return LATE_MAX;
}

static void
print_all(void)
{
	uint64_t total = 0, timed = 0;
	int left = 0;

	for (int i = 0; i < nclients; i++) {
		total += clients[i].events;
		left += clients[i].is_open;
	}
	for (int ms = 0; ms <= LATE_MAX; ms++)
		timed += late[ms];
	(void)printf("%d %llu %llu %d %d %d\n", left,
	    (unsigned long long)fewest(), (unsigned long long)total,
	    quantile(timed, 0.5), quantile(timed, 0.99), quantile(timed, 1));
}

int
main(int argc, char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int poll = epoll_create1(EPOLL_CLOEXEC);
	char key[KEY_MAX] = "";
	int64_t until;

	if (argc != 5 || !ctx || poll < 0 || !fgets(key, sizeof(key), stdin))
		fail("usage: events_listen PORT CLIENTS SECONDS EVENTS < key");
	key[strcspn(key, "\n")] = '\0';
	nclients = (int)strtol(argv[2], NULL, 10);
	clients = calloc((size_t)nclients, sizeof(*clients));
	if (nclients < 1 || !clients)
		fail("how many clients?");
	for (int i = 0; i < nclients; i++)
		open_one(&clients[i], ctx, (int)strtol(argv[1], NULL, 10), key,
		    poll);
	while (nbegun < nclients)
		run_once(poll);
	(void)printf("ready\n");
	(void)fflush(stdout);
	until = now_ms() + strtoll(argv[3], NULL, 10) * 1000;
	while (now_ms() < until && fewest() < strtoull(argv[4], NULL, 10))
		run_once(poll);
	print_all();
	return 0;
}
