#include "common/bus/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/db/db_int.h"
#include "tests/unit/check.h"
#include "tests/unit/common/bus/rig.h"

/* Generous: a loaded machine must not fail a test. */
#define LONG_MS 10000
/* What is quicker than silence is told from it by the quickest of some tries:
 * any single one may be late on a busy machine. */
enum { SILENCE_MS = 500, SOON_MS = 400, TRIES = 20 };

struct at_least {
	int *value;
	int want;
};

static bool
is_at_least(void *arg)
{
	struct at_least *a = arg;

	return *a->value >= a->want;
}

static bool
until_at_least(struct rig *r, int *value, int want)
{
	struct at_least a = {value, want};

	return rig_until(r, is_at_least, &a, LONG_MS);
}

static struct rig rig;
static struct rig_server a, b;
static struct rig_client c;
static char url_a[160], url_b[160];

static void
start_one(void)
{
	const char *urls[] = {url_a, NULL};

	CHECK(rig_init(&rig));
	rig_url(&rig, "a", url_a);
	CHECK_INT(rig_server_start(&rig, &a, url_a, NULL, 1, true), RC_OK);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
}

static void
start_two(uint64_t term_a, bool a_leads, uint64_t term_b, bool b_leads)
{
	const char *urls[] = {url_a, url_b, NULL};

	CHECK(rig_init(&rig));
	rig_url(&rig, "a", url_a);
	rig_url(&rig, "b", url_b);
	CHECK_INT(rig_server_start(&rig, &a, url_a, NULL, term_a, a_leads),
	    RC_OK);
	CHECK_INT(rig_server_start(&rig, &b, url_b, NULL, term_b, b_leads),
	    RC_OK);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
}

static void
stop_all(void)
{
	rig_client_stop(&c);
	rig_server_stop(&a);
	rig_server_stop(&b);
	rig_fini(&rig);
}

static void
test_hint(void)
{
	start_one();
	bus_client_hint(c.bus, "{\"jobs\":3}", 10);
	CHECK(rig_until(&rig, rig_is_positive, &a.hints, LONG_MS));
	CHECK_STR(a.hint, "{\"jobs\":3}");
	CHECK_INT(a.hints, 1);
	stop_all();
}

static void
test_hint_to_all_without_leader(void)
{
	start_two(1, false, 0, false);
	CHECK_INT(bus_client_term(c.bus), 0);
	bus_client_hint(c.bus, "{}", 2);
	CHECK(rig_until(&rig, rig_is_positive, &a.hints, LONG_MS));
	CHECK(rig_until(&rig, rig_is_positive, &b.hints, LONG_MS));
	stop_all();
}

static void
test_hint_to_leader_only(void)
{
	start_two(1, false, 4, true);
	CHECK(rig_follows(&rig, &c, 4, LONG_MS));
	bus_client_hint(c.bus, "{}", 2);
	CHECK(rig_until(&rig, rig_is_positive, &b.hints, LONG_MS));
	rig_pass(&rig, 50);
	CHECK_INT(a.hints, 0);
	stop_all();
}

static void
test_oversized_hint_is_dropped(void)
{
	char *big = calloc(1, FRAME_BODY_MAX + 1);

	CHECK(big);
	start_one();
	bus_client_hint(c.bus, big, FRAME_BODY_MAX + 1);
	bus_client_hint(c.bus, big, FRAME_BODY_MAX);
	CHECK(rig_until(&rig, rig_is_positive, &a.hints, LONG_MS));
	rig_pass(&rig, 20);
	CHECK_INT(a.hints, 1);
	free(big);
	stop_all();
}

static bool
is_other(void *arg)
{
	return bus_client_other_server(arg) != NULL;
}

static bool
says_timeline_3(void *arg)
{
	return strcmp(arg, "{\"system\":\"700\",\"timeline\":3}") == 0;
}

static void
be_with(struct db_home *home, int timeline)
{
	struct db_seen seen = {
	    .host = "db",
	    .system = "700",
	    .timeline = timeline,
	    .known = "{1,2,3}",
	};
	char why[512];

	CHECK(db_home_admits(home, &seen, why, sizeof(why)));
}

/* A leader on another database server is not followed, and hears of ours. */
static void
test_other_database_server(void)
{
	struct db_home *home = db_home_new();

	start_one();
	bus_client_set_home(c.bus, home);
	be_with(home, 2);
	a.beat_body = "{\"leader\":true,\"system\":\"700\",\"timeline\":2}";
	rig_pass(&rig, 200);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	CHECK(!is_other(c.bus));
	a.beat_body = "{\"leader\":true,\"system\":\"701\",\"timeline\":2}";
	CHECK(rig_follows(&rig, &c, 0, LONG_MS));
	CHECK(rig_until(&rig, is_other, c.bus, LONG_MS));
	CHECK(strstr(bus_client_other_server(c.bus),
		  "is with another database server, system 701, timeline 2; "
		  "this process is with db, system 700, timeline 2") != NULL);
	a.beat_body = "{\"leader\":true,\"system\":\"700\",\"timeline\":2}";
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	CHECK(!is_other(c.bus));
	be_with(home, 3);
	CHECK(rig_follows(&rig, &c, 0, LONG_MS));
	CHECK(rig_until(&rig, says_timeline_3, a.hello, LONG_MS));
	stop_all();
	db_home_free(home);
}

/* Many under way at once, answered late and in the reverse order. */
static void
test_delayed_replies(void)
{
	enum { N = 60 };
	static struct rig_reply replies[N];
	char body[64];

	start_one();
	for (int i = 0; i < N; i++) {
		(void)snprintf(body, sizeof(body), "{\"room\":%d}", i);
		CHECK_INT(rig_ask(&c, body, LONG_MS, &replies[i]), RC_OK);
	}
	CHECK(until_at_least(&rig, &a.n_asked, N));
	rig_pass(&rig, 30);
	for (int i = N - 1; i >= 0; i--)
		rig_server_answer(&a, i, a.asked[i].body);
	for (int i = 0; i < N; i++) {
		CHECK(rig_until(&rig, rig_is_positive, &replies[i].calls,
		    LONG_MS));
		(void)snprintf(body, sizeof(body), "{\"room\":%d}", i);
		CHECK_INT(replies[i].code, RC_OK);
		CHECK_INT(replies[i].kind, FRAME_WORK_REPLY);
		CHECK_STR(replies[i].body, body);
		CHECK_INT(replies[i].calls, 1);
	}
	stop_all();
}

/* Each of many workers has a request open; all are answered in one turn. */
static void
test_many_clients(void)
{
	enum { N = 40, EACH = 5 };
	static struct rig_client many[N];
	static struct rig_reply replies[N][EACH];
	const char *urls[] = {url_a, NULL};

	start_one();
	for (int i = 0; i < N; i++)
		CHECK_INT(rig_client_start(&rig, &many[i], urls, NULL), RC_OK);
	for (int i = 0; i < N; i++) {
		CHECK(rig_follows(&rig, &many[i], 1, LONG_MS));
		for (int k = 0; k < EACH; k++)
			CHECK_INT(rig_ask(&many[i], "{}", LONG_MS,
				      &replies[i][k]),
			    RC_OK);
	}
	CHECK(until_at_least(&rig, &a.n_asked, N * EACH));
	for (int i = 0; i < N * EACH; i++)
		rig_server_answer(&a, i, "{\"leases\":[]}");
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < EACH; k++) {
			CHECK(rig_until(&rig, rig_is_positive,
			    &replies[i][k].calls, LONG_MS));
			CHECK_INT(replies[i][k].code, RC_OK);
		}
	}
	for (int i = 0; i < N; i++)
		rig_client_stop(&many[i]);
	CHECK(until_at_least(&rig, &a.n_closed, N));
	stop_all();
}

static void
test_events(void)
{
	start_one();
	rig_server_event(&a, "{\"agents\":[\"ag-1\"]}");
	CHECK(rig_until(&rig, rig_is_positive, &c.events, LONG_MS));
	CHECK_STR(c.event, "{\"agents\":[\"ag-1\"]}");
	stop_all();
}

static void
test_higher_term_is_followed(void)
{
	struct rig_reply reply;

	start_two(1, true, 1, false);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	CHECK_INT(rig_ask(&c, "{}", LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));

	/* B takes over; A has not noticed and goes on claiming term 1. */
	b.term = 2;
	b.is_leading = true;
	CHECK(rig_follows(&rig, &c, 2, LONG_MS));
	CHECK_INT(c.leaders, 2);
	CHECK_INT(reply.calls, 1);
	CHECK_INT(reply.code, RC_PEER_GONE);

	rig_server_event(&a, "{\"from\":\"a\"}");
	rig_pass(&rig, 50);
	CHECK_INT(c.events, 0);
	rig_server_event(&b, "{\"from\":\"b\"}");
	CHECK(rig_until(&rig, rig_is_positive, &c.events, LONG_MS));
	CHECK_STR(c.event, "{\"from\":\"b\"}");

	/* The old leader's answer comes too late for anybody. */
	rig_server_answer(&a, 0, "{}");
	CHECK_INT(rig_ask(&c, "{}", LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &b.n_asked, LONG_MS));
	rig_server_answer(&b, 0, "{\"from\":\"b\"}");
	CHECK(rig_until(&rig, rig_is_positive, &reply.calls, LONG_MS));
	CHECK_STR(reply.body, "{\"from\":\"b\"}");
	rig_pass(&rig, 50);
	CHECK_INT(reply.calls, 1);
	CHECK_INT(c.leaders, 2);
	stop_all();
}

static void
test_silent_leader(void)
{
	struct rig_reply reply, other;
	int64_t start;

	start_one();
	CHECK_INT(rig_ask(&c, "{}", LONG_MS, &reply), RC_OK);
	a.term = 0; /* alive, but no beats: as a stopped process */
	start = clock_boot_ms();
	CHECK(rig_follows(&rig, &c, 0, LONG_MS));
	CHECK(clock_boot_ms() - start >= 400);
	CHECK_INT(reply.calls, 1);
	CHECK_INT(reply.code, RC_PEER_GONE);
	CHECK_INT(rig_ask(&c, "{}", LONG_MS, &other), RC_UNAVAILABLE);
	CHECK_INT(other.calls, 0);
	a.term = 7;
	CHECK(rig_follows(&rig, &c, 7, LONG_MS));
	stop_all();
}

/* By its word, not by silence: sooner at least once, also on a busy machine. */
static void
test_leader_steps_down(void)
{
	int64_t start, took_ms = SILENCE_MS;

	start_one();
	for (int i = 0; i < TRIES && took_ms >= SOON_MS; i++) {
		a.is_leading = true;
		CHECK(rig_follows(&rig, &c, 1, LONG_MS));
		start = clock_boot_ms();
		a.is_leading = false;
		CHECK(rig_follows(&rig, &c, 0, LONG_MS));
		took_ms = clock_boot_ms() - start;
	}
	CHECK(took_ms < SOON_MS);
	stop_all();
}

static void
test_pipe_closed(void)
{
	struct rig_client other;
	struct rig_reply reply, kept;
	const char *urls[] = {url_a, NULL};

	start_one();
	CHECK_INT(rig_client_start(&rig, &other, urls, NULL), RC_OK);
	CHECK(rig_follows(&rig, &other, 1, LONG_MS));
	CHECK_INT(rig_ask(&c, "{}", LONG_MS, &kept), RC_OK);
	CHECK(until_at_least(&rig, &a.n_asked, 1));
	CHECK_INT(rig_ask(&other, "{}", LONG_MS, &reply), RC_OK);
	CHECK(until_at_least(&rig, &a.n_asked, 2));
	CHECK(a.asked[0].pipe != a.asked[1].pipe);

	rig_client_stop(&other);
	CHECK_INT(reply.calls, 0); /* forgotten, not called */
	CHECK(rig_until(&rig, rig_is_positive, &a.n_closed, LONG_MS));
	CHECK_INT(a.n_closed, 1);
	CHECK_INT(a.closed[0], a.asked[1].pipe);

	/* A reply to it is dropped; the other peer is untouched. */
	rig_server_answer(&a, 1, "{}");
	rig_server_answer(&a, 0, "{}");
	CHECK(rig_until(&rig, rig_is_positive, &kept.calls, LONG_MS));
	CHECK_INT(kept.code, RC_OK);
	stop_all();
}

/*
 * A request that lies in nng's queue when its connection is gone is never
 * handed on: nobody would give back what it gets.
 */
static void
test_request_of_closed_pipe(void)
{
	const struct timespec nap = {.tv_nsec = 100 * 1000 * 1000};
	struct rig_reply reply;

	start_one();
	for (int i = 0; i < 5; i++)
		CHECK_INT(rig_ask(&c, "{}", LONG_MS, &reply), RC_OK);
	/* The loop stands; nng's threads carry the requests over. */
	(void)nanosleep(&nap, NULL);
	rig_client_stop(&c);
	(void)nanosleep(&nap, NULL);
	rig_pass(&rig, 50);
	CHECK_INT(a.n_asked, 0);
	CHECK_INT(a.n_closed, 0);
	stop_all();
}

/* Asks, and the server goes with the request; how long that takes. */
static int64_t
time_to_its_end(void)
{
	struct rig_reply reply;
	int64_t start;

	CHECK_INT(rig_ask(&c, "{}", LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));
	start = clock_boot_ms();
	rig_server_stop(&a);
	CHECK(rig_until(&rig, rig_is_positive, &reply.calls, LONG_MS));
	CHECK_INT(reply.code, RC_PEER_GONE);
	CHECK_INT(c.term, 0);
	return clock_boot_ms() - start;
}

/* The process dies: its requests end at once, not at the next beat missed; and
 * it comes back on the same address. */
static void
test_server_gone(void)
{
	int64_t took_ms = SILENCE_MS;
	struct rig_reply reply;

	start_one();
	for (uint64_t i = 0; i < TRIES && took_ms >= SOON_MS; i++) {
		took_ms = time_to_its_end();
		CHECK_INT(rig_server_start(&rig, &a, url_a, NULL, 2 + i, true),
		    RC_OK);
		CHECK(rig_follows(&rig, &c, 2 + i, LONG_MS));
	}
	CHECK(took_ms < SOON_MS);
	CHECK_INT(rig_ask(&c, "{}", LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));
	stop_all();
}

static void
test_timeout_and_late_reply(void)
{
	struct rig_reply first, second;

	start_one();
	CHECK_INT(rig_ask(&c, "{\"n\":1}", 50, &first), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &first.calls, LONG_MS));
	CHECK_INT(first.code, RC_TIMEOUT);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));

	CHECK_INT(rig_ask(&c, "{\"n\":2}", LONG_MS, &second), RC_OK);
	CHECK(until_at_least(&rig, &a.n_asked, 2));
	rig_server_answer(&a, 0, "{\"late\":true}");
	rig_pass(&rig, 50);
	CHECK_INT(first.calls, 1);
	CHECK_INT(second.calls, 0);
	rig_server_answer(&a, 1, "{\"n\":2}");
	rig_server_answer(&a, 1, "{\"twice\":true}");
	CHECK(rig_until(&rig, rig_is_positive, &second.calls, LONG_MS));
	rig_pass(&rig, 50);
	CHECK_INT(second.calls, 1);
	CHECK_STR(second.body, "{\"n\":2}");
	stop_all();
}

static void
test_client_first(void)
{
	const char *urls[] = {url_a, NULL};

	CHECK(rig_init(&rig));
	rig_url(&rig, "a", url_a);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	bus_client_hint(c.bus, "{\"early\":1}", 11);
	rig_pass(&rig, 300);
	CHECK_INT(c.leaders, 0);
	CHECK_INT(rig_server_start(&rig, &a, url_a, NULL, 1, true), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	CHECK(rig_until(&rig, rig_is_positive, &a.hints, LONG_MS));
	stop_all();
}

/* A listener in place of a link of server a, which answers nothing. */
static int
listen_as(const char *suffix, struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	CHECK((size_t)snprintf(at->sun_path, sizeof(at->sun_path), "%s%s",
		  url_a + strlen("ipc://"), suffix) < sizeof(at->sun_path));
	CHECK_INT(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	CHECK_INT(listen(fd, 16), 0);
	return fd;
}

/* Two of the links, while the third finds nobody: each is tried twice a
 * second at least where it is tried at all. */
static void
check_one_link_tries(int64_t ms)
{
	struct sockaddr_un at[2];
	int fds[2] = {listen_as(".hint", &at[0]), listen_as(".events", &at[1])};

	rig_pass(&rig, ms);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(accept(fds[i], NULL, NULL), -1);
		CHECK_INT(close(fds[i]), 0);
		CHECK_INT(unlink(at[i].sun_path), 0);
	}
}

static void
test_one_link_tries(void)
{
	const char *urls[] = {url_a, NULL};

	CHECK(rig_init(&rig));
	rig_url(&rig, "a", url_a);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	check_one_link_tries(1200);
	CHECK_INT(rig_server_start(&rig, &a, url_a, NULL, 1, true), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));

	/* All three were connected; after some seconds one tries again. */
	rig_server_stop(&a);
	rig_pass(&rig, 6000);
	check_one_link_tries(1200);
	CHECK_INT(rig_server_start(&rig, &a, url_a, NULL, 2, true), RC_OK);
	CHECK(rig_follows(&rig, &c, 2, LONG_MS));
	bus_client_hint(c.bus, "{}", 2);
	CHECK(rig_until(&rig, rig_is_positive, &a.hints, LONG_MS));
	stop_all();
}

/* Asks again from within the callback that ended the first request. */
static struct rig_reply again;
static rc again_code;

static void
ask_again(void *arg, rc code, const struct frame *f)
{
	(*(int *)arg)++;
	again_code = rig_ask(&c, "{\"again\":1}", LONG_MS, &again);
}

static void
test_request_from_callback(void)
{
	struct frame f = {.kind = FRAME_WORK, .body = "{}", .body_len = 2};
	int calls = 0;

	start_two(1, true, 1, false);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	for (int i = 0; i < 3; i++)
		CHECK_INT(bus_client_request(c.bus, &f, LONG_MS, ask_again,
			      &calls),
		    RC_OK);
	b.term = 2;
	b.is_leading = true;
	CHECK(rig_follows(&rig, &c, 2, LONG_MS));
	CHECK_INT(calls, 3);
	CHECK_INT(again_code, RC_OK);
	CHECK(until_at_least(&rig, &b.n_asked, 3));
	CHECK_INT(again.calls, 0); /* newer than the change: still open */
	stop_all();
}

CHECK_MAIN(CHECK_ROW(test_hint), CHECK_ROW(test_hint_to_all_without_leader),
    CHECK_ROW(test_other_database_server), CHECK_ROW(test_hint_to_leader_only),
    CHECK_ROW(test_oversized_hint_is_dropped), CHECK_ROW(test_delayed_replies),
    CHECK_ROW(test_many_clients), CHECK_ROW(test_events),
    CHECK_ROW(test_higher_term_is_followed), CHECK_ROW(test_silent_leader),
    CHECK_ROW(test_leader_steps_down), CHECK_ROW(test_pipe_closed),
    CHECK_ROW(test_request_of_closed_pipe), CHECK_ROW(test_server_gone),
    CHECK_ROW(test_timeout_and_late_reply), CHECK_ROW(test_client_first),
    CHECK_ROW(test_one_link_tries), CHECK_ROW(test_request_from_callback))
