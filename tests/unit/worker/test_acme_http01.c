/* Our own listener for http-01: what it answers, for whom, and for how long. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "worker/issuers/acme_http01.h"

#define LOOK_MS 1
#define REPLY_MAX 1024

static struct {
	struct loop *loop;
	struct acme_http01 *http01;
	struct arena *a;
	int port;
	/* a visit */
	struct timer *timer;
	int fd;
	char reply[REPLY_MAX + 1];
	size_t len;
} t;

/* One that is free now; whoever takes it before we do fails the test. */
static int
free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(bind(fd, (struct sockaddr *)&at, len) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	close(fd);
	return ntohs(at.sin_port);
}

static void
begin(int64_t linger_ms)
{
	memset(&t, 0, sizeof(t));
	t.a = arena_new();
	CHECK_INT(loop_new(&t.loop), RC_OK);
	t.http01 = acme_http01_new(t.loop, linger_ms);
	t.port = free_port();
}

static void
end(void)
{
	acme_http01_free(t.http01);
	loop_free(t.loop);
	arena_free(t.a);
}

static void
put(const char *order, const char *token)
{
	struct acme_answer answer = {order, token,
	    arena_printf(t.a, "%s.print", token)};
	const char *why = "";

	CHECK_INT(acme_http01_put(t.http01, t.a, t.port, &answer, &why), RC_OK);
}

static void
look(void *arg)
{
	ssize_t n;

	n = recv(t.fd, t.reply + t.len, REPLY_MAX - t.len, MSG_DONTWAIT);
	if (n > 0)
		t.len += (size_t)n;
	if (n == 0)
		loop_stop(t.loop);
	else
		timer_arm(t.timer, LOOK_MS);
}

/* What a CA gets; "" where nothing listens. */
static const char *
visit(const char *token)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons((uint16_t)t.port),
	};
	const char *request = arena_printf(t.a,
	    "GET /.well-known/acme-challenge/%s HTTP/1.1\r\n\r\n", token);

	t.len = 0;
	memset(t.reply, 0, sizeof(t.reply));
	t.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(t.fd, (struct sockaddr *)&at, sizeof(at)) == 0) {
		CHECK(send(t.fd, request, strlen(request), 0) ==
		      (ssize_t)strlen(request));
		t.timer = timer_new(t.loop, look, NULL);
		timer_arm(t.timer, LOOK_MS);
		CHECK_INT(loop_run(t.loop), RC_OK);
		timer_free(t.timer);
	}
	close(t.fd);
	return t.reply;
}

static void
test_answers(void)
{
	begin(0);
	CHECK_STR(visit("one"), "");
	put("order-1", "one");
	CHECK(strstr(visit("one"), "200 OK") != NULL);
	CHECK(strstr(visit("one"), "\r\n\r\none.print") != NULL);
	CHECK(strstr(visit("two"), "404 Not Found") != NULL);
	acme_http01_withdraw(t.http01, "order-1");
	CHECK_STR(visit("one"), "");
	end();
}

/* A look that was under way when the order was ready finds the answer. */
static void
test_withdrawn_is_there_a_while(void)
{
	begin(3600000);
	put("order-1", "one");
	acme_http01_withdraw(t.http01, "order-1");
	CHECK(strstr(visit("one"), "one.print") != NULL);
	end();
}

static void
test_shared_by_two_orders(void)
{
	begin(0);
	put("order-1", "one");
	put("order-2", "one");
	put("order-1", "one");
	acme_http01_withdraw(t.http01, "order-2");
	CHECK(strstr(visit("one"), "one.print") != NULL);
	acme_http01_withdraw(t.http01, "order-1");
	CHECK_STR(visit("one"), "");
	end();
}

CHECK_MAIN(CHECK_ROW(test_answers), CHECK_ROW(test_withdrawn_is_there_a_while),
    CHECK_ROW(test_shared_by_two_orders))
