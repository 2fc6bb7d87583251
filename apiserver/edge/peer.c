#include "apiserver/edge/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/mem.h"

enum { V4_AT = 12 /* where an IPv4 address begins in one of IPv6 */ };

static const uint8_t v4_prefix[V4_AT] = {[10] = 0xff, [11] = 0xff};

struct net {
	struct peer_addr addr;
	unsigned bits;
};

struct peer_nets {
	size_t n;
	struct net nets[];
};

static bool
is_v4(const struct peer_addr *a)
{
	return memcmp(a->bytes, v4_prefix, V4_AT) == 0;
}

struct peer_addr
peer_of_socket(const struct sockaddr *sa)
{
	struct peer_addr a = {{0}};
	struct sockaddr_in6 six;
	struct sockaddr_in four;

	if (sa->sa_family == AF_INET) {
		memcpy(&four, sa, sizeof(four));
		memcpy(a.bytes, v4_prefix, V4_AT);
		memcpy(a.bytes + V4_AT, &four.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&six, sa, sizeof(six));
		memcpy(a.bytes, &six.sin6_addr, sizeof(a.bytes));
	}
	return a;
}

static bool
parse(const char *text, struct peer_addr *out)
{
	memcpy(out->bytes, v4_prefix, V4_AT);
	return inet_pton(AF_INET, text, out->bytes + V4_AT) == 1 ||
	       inet_pton(AF_INET6, text, out->bytes) == 1;
}

void
peer_text(const struct peer_addr *a, char out[PEER_TEXT_MAX])
{
	if (is_v4(a))
		(void)inet_ntop(AF_INET, a->bytes + V4_AT, out, PEER_TEXT_MAX);
	else
		(void)inet_ntop(AF_INET6, a->bytes, out, PEER_TEXT_MAX);
}

struct peer_addr
peer_party(const struct peer_addr *a)
{
	struct peer_addr party = *a;

	if (!is_v4(a))
		memset(party.bytes + 8, 0, 8);
	return party;
}

/* --- networks --- */

/* Bits behind the prefix are a mistake: 10.0.0.1/8 may mean the one address or
 * the network. */
static bool
is_network(const struct net *n)
{
	for (unsigned i = n->bits; i < 128; i++) {
		if (n->addr.bytes[i / 8] & 0x80U >> i % 8)
			return false;
	}
	return true;
}

static bool
parse_net(const char *text, struct net *out)
{
	const char *slash = strchr(text, '/');
	char copy[PEER_TEXT_MAX];
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	int64_t bits = 0, most;
	rc ret;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!parse(copy, &out->addr))
		return false;
	most = strchr(copy, ':') ? 128 : 32;
	bits = most;
	if (slash) {
		/* Not 0: who trusts everybody knows nobody's address. */
		ret = enc_parse_i64(slash + 1, 1, most, &bits);
		if (ret != RC_OK)
			return false;
	}
	out->bits = (unsigned)(bits + 128 - most);
	return is_network(out);
}

rc
peer_nets_new(const char *const *texts, struct peer_nets **out,
    const char **out_bad)
{
	struct peer_nets *n;
	size_t count = 0;

	while (texts && texts[count])
		count++;
	n = mem_zalloc(sizeof(*n) + count * sizeof(n->nets[0]));
	for (; n->n < count; n->n++) {
		if (!parse_net(texts[n->n], &n->nets[n->n])) {
			*out_bad = texts[n->n];
			free(n);
			return RC_INVALID;
		}
	}
	*out = n;
	return RC_OK;
}

void
peer_nets_free(struct peer_nets *n)
{
	free(n);
}

static bool
contains(const struct net *net, const struct peer_addr *a)
{
	size_t whole = net->bits / 8;
	unsigned mask = 0xffU << (8 - net->bits % 8);

	if (memcmp(net->addr.bytes, a->bytes, whole) != 0)
		return false;
	return net->bits % 8 == 0 ||
	       ((net->addr.bytes[whole] ^ a->bytes[whole]) & mask & 0xff) == 0;
}

bool
peer_nets_have(const struct peer_nets *n, const struct peer_addr *a)
{
	for (size_t i = 0; i < n->n; i++) {
		if (contains(&n->nets[i], a))
			return true;
	}
	return false;
}

/* --- behind proxies --- */

/* Whether [p, p + len) is an address, perhaps with blanks around it. */
static bool
parse_item(const char *p, size_t len, struct peer_addr *out)
{
	char copy[PEER_TEXT_MAX];

	while (len > 0 && (*p == ' ' || *p == '\t')) {
		p++;
		len--;
	}
	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, p, len);
	copy[len] = '\0';
	return parse(copy, out);
}

struct peer_addr
peer_behind(const struct peer_nets *trusted, const struct peer_addr *hop,
    const char *forwarded)
{
	struct peer_addr client = *hop, next;
	size_t end = forwarded ? strlen(forwarded) : 0, at;

	while (end > 0 && peer_nets_have(trusted, &client)) {
		for (at = end; at > 0 && forwarded[at - 1] != ','; at--)
			;
		if (!parse_item(forwarded + at, end - at, &next))
			break;
		client = next;
		end = at > 0 ? at - 1 : 0;
	}
	return client;
}
