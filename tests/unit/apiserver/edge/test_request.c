/*
 * test_request: what a handler may ask of its request.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

static char repeated[64], peer[PEER_TEXT_MAX];
static bool has_other;

static enum op_next
look(struct op *op)
{
	const struct sockaddr_in from = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(0xc0000207)};
	struct request *r = op_owner(op);
	const char *all = req_header(op, "x-WORD");

	r->peer = peer_of_socket((const struct sockaddr *)(const void *)&from);
	if (all)
		(void)snprintf(repeated, sizeof(repeated), "%s", all);
	has_other = req_header(op, "x-wor") != NULL;
	(void)snprintf(peer, sizeof(peer), "%s", req_peer(op));
	return reply_no_content(op);
}

static void
test_headers_and_peer(void)
{
	static const struct route route = {"GET", "/api/v1/look", "cert.read",
	    look};
	struct fixture f;
	struct answer answer;

	fixture_init(&f);
	f.fields = "X-Word: one\r\nx-word: two\r\n";
	fixture_request(&f, &route, "GET", "/api/v1/look", "", &answer);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(answer.status, 204);
	CHECK_STR(repeated, "one, two");
	CHECK(!has_other);
	CHECK_STR(peer, "192.0.2.7");
	fixture_fini(&f);
}

/* The steps of one turn that say the same are heard once; each other is. */
static uint64_t said[4];

static enum op_next
hint_later(struct op *op)
{
	struct api *api = req_api(op);

	req_hint_due(op, "iss-2", "2026-01-02 03:04:05.000001");
	said[3] = api->hinted.n;
	free(api->hinted.what);
	return reply_no_content(op);
}

static enum op_next
hint(struct op *op)
{
	struct api *api = req_api(op);

	req_hint_due(op, "iss-1", "2026-01-02 03:04:05.000001");
	said[0] = api->hinted.n;
	req_hint_due(op, "iss-1", "2026-01-02 03:04:05.000001");
	said[1] = api->hinted.n;
	req_hint_due(op, "iss-2", "2026-01-02 03:04:05.000001");
	said[2] = api->hinted.n;
	return op_sleep(op, 1, hint_later);
}

static void
test_hints_of_one_turn(void)
{
	static const struct route route = {"GET", "/api/v1/look", "cert.read",
	    hint};
	struct fixture f;
	struct answer answer;

	fixture_init(&f);
	fixture_request(&f, &route, "GET", "/api/v1/look", "", &answer);
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT(answer.status, 204);
	CHECK_INT(said[0], 1);
	CHECK_INT(said[1], 1);
	CHECK_INT(said[2], 2);
	CHECK_INT(said[3], 3);
	fixture_fini(&f);
}

CHECK_MAIN(CHECK_ROW(test_headers_and_peer), CHECK_ROW(test_hints_of_one_turn))
