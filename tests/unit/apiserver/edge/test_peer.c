#include "apiserver/edge/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "apiserver/edge/addrs.h"
#include "tests/unit/check.h"

static const char *const networks[] = {"10.0.0.0/8", "192.0.2.7",
    "2001:db8::/33", "::1", NULL};
static struct peer_nets *nets;

static struct peer_addr
addr(const char *text)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};

	if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
		return peer_of_socket((const struct sockaddr *)&four);
	if (inet_pton(AF_INET6, text, &six.sin6_addr) != 1)
		six.sin6_family = AF_UNIX;
	return peer_of_socket((const struct sockaddr *)&six);
}

static const char *
text_of(const struct peer_addr *a)
{
	static char text[PEER_TEXT_MAX];

	peer_text(a, text);
	return text;
}

static void
test_new(void)
{
	const char *bad = NULL;

	CHECK_INT(peer_nets_new(networks, &nets, &bad), RC_OK);
}

static void
test_texts(void)
{
	struct peer_addr a = addr("192.0.2.1"), b = addr("2001:db8::1");
	struct peer_addr mapped = addr("::ffff:192.0.2.1");

	CHECK_STR(text_of(&a), "192.0.2.1");
	CHECK_STR(text_of(&b), "2001:db8::1");
	CHECK_STR(text_of(&mapped), "192.0.2.1");
}

static bool
have(const char *text)
{
	struct peer_addr a = addr(text);

	return peer_nets_have(nets, &a);
}

static void
test_networks(void)
{
	CHECK(have("10.255.0.1"));
	CHECK(have("::ffff:10.0.0.1"));
	CHECK(!have("11.0.0.1"));
	CHECK(have("192.0.2.7"));
	CHECK(!have("192.0.2.6"));
	CHECK(have("2001:db8:7fff::1"));
	CHECK(!have("2001:db8:8000::1"));
	CHECK(have("::1"));
	CHECK(!have("::2"));
	CHECK(!have("no address"));
}

static void
check_bad(const char *text)
{
	const char *const texts[] = {"10.0.0.0/8", text, NULL};
	struct peer_nets *n = NULL;
	const char *bad = NULL;

	CHECK_INT(peer_nets_new(texts, &n, &bad), RC_INVALID);
	CHECK_STR(bad, text);
	CHECK(n == NULL);
}

static void
test_bad_networks(void)
{
	check_bad("10.0.0.0/33");
	check_bad("10.0.0.0/");
	check_bad("10.0.0.0/-1");
	check_bad("10.0.0/8");
	check_bad("::/129");
	check_bad("proxy.example");
	check_bad("10.0.0.1/8");
	check_bad("192.0.2.129/25");
	check_bad("2001:db8::1/32");
	check_bad("0.0.0.0/0");
	check_bad("::/0");
}

static const char *
behind(const char *hop, const char *forwarded)
{
	struct peer_addr a = addr(hop);
	struct peer_addr client = peer_behind(nets, &a, forwarded);

	return text_of(&client);
}

static void
test_proxies(void)
{
	CHECK_STR(behind("10.0.0.1", NULL), "10.0.0.1");
	CHECK_STR(behind("10.0.0.1", ""), "10.0.0.1");
	CHECK_STR(behind("10.0.0.1", "203.0.113.5"), "203.0.113.5");
	CHECK_STR(behind("10.0.0.1", "2001:db8:ffff::5"), "2001:db8:ffff::5");
	/* Who is no proxy of ours may say what it likes. */
	CHECK_STR(behind("203.0.113.9", "203.0.113.5"), "203.0.113.9");
	/* What stands left of the first stranger is that stranger's word. */
	CHECK_STR(behind("10.0.0.1", "1.1.1.1, 203.0.113.5,\t10.9.9.9 "),
	    "203.0.113.5");
	CHECK_STR(behind("10.0.0.1", "10.0.0.2,10.0.0.3"), "10.0.0.2");
	/* What cannot be read ends what is believed. */
	CHECK_STR(behind("10.0.0.1", "203.0.113.5, unknown, 10.0.0.3"),
	    "10.0.0.3");
	CHECK_STR(behind("10.0.0.1", "203.0.113.5,"), "10.0.0.1");
	CHECK_STR(behind("10.0.0.1", "203.0.113.5:443"), "10.0.0.1");
}

static void
test_counts(void)
{
	struct addrs *a = addrs_new();
	struct peer_addr four = addr("192.0.2.1"), other = addr("192.0.2.2");
	struct peer_addr six = addr("2001:db8::1");
	struct peer_addr neighbour = addr("2001:db8::2:0:0:1");
	struct peer_addr far = addr("2001:db8:0:1::1");

	CHECK_INT(addrs_add(a, &four), 1);
	CHECK_INT(addrs_add(a, &four), 2);
	CHECK_INT(addrs_add(a, &other), 1);
	CHECK_INT(addrs_add(a, &six), 1);
	CHECK_INT(addrs_add(a, &neighbour), 2);
	CHECK_INT(addrs_add(a, &far), 1);
	addrs_remove(a, &four);
	addrs_remove(a, &four);
	addrs_remove(a, &four);
	CHECK_INT(addrs_add(a, &four), 1);
	addrs_free(a);
	addrs_free(NULL);
}

static void
test_free(void)
{
	peer_nets_free(nets);
	peer_nets_free(NULL);
}

CHECK_MAIN(CHECK_ROW(test_new), CHECK_ROW(test_texts), CHECK_ROW(test_networks),
    CHECK_ROW(test_bad_networks), CHECK_ROW(test_proxies),
    CHECK_ROW(test_counts), CHECK_ROW(test_free))
