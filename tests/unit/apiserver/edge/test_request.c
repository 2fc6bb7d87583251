/*
 * test_request: what a handler may ask of its request.
 */
#include <arpa/inet.h>
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

CHECK_MAIN(CHECK_ROW(test_headers_and_peer))
