/*
 * Fields of requests that are read by themselves: If-None-Match, and
 * X-Forwarded-For behind a proxy of ours.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "apiserver/edge/etag.h"
#include "apiserver/edge/peer.h"
#include "common/base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

/* A tag is found where it stands in the text, or by "*". */
static void
check_tags(struct arena *a, const char *text)
{
	static const char *const tags[] = {"\"a\"", "\"1-f\"", "W/\"a\"",
	    "\"\"", "\"a,b\""};

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		bool has = etag_list_has(text, tags[i]);

		must(!has || strchr(text, '*') || strstr(text, tags[i]));
		must(etag_list_has(arena_printf(a, "%s, %s", tags[i], text),
		    tags[i]));
		if (has && !strchr(text, '*'))
			must(etag_list_has(arena_printf(a, " ,\"other\" ,%s",
					       text),
			    tags[i]));
	}
}

/* A proxy is believed and nobody else, and it gives an address. */
static void
check_peer(struct arena *a, const char *text)
{
	static const char *const texts[] = {"10.0.0.0/8", "2001:db8::/32",
	    NULL};
	static struct peer_nets *proxies;
	struct peer_addr proxy = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};
	struct peer_addr other = {{[10] = 0xff, 0xff, 192, 0, 2, 1}};
	struct peer_addr client, again;
	char shown[PEER_TEXT_MAX];
	const char *bad;

	if (!proxies && peer_nets_new(texts, &proxies, &bad) != RC_OK)
		abort();
	client = peer_behind(proxies, &other, text);
	must(memcmp(&client, &other, sizeof(client)) == 0);
	client = peer_behind(proxies, &proxy, text);
	peer_text(&client, shown);
	must(*shown != '\0' && strlen(shown) < sizeof(shown));
	/* One more proxy of ours in between changes nothing. */
	again = peer_behind(proxies, &proxy,
	    arena_printf(a, "%s,%s", text, "10.0.0.1"));
	must(memcmp(&client, &again, sizeof(client)) == 0);
	again = peer_behind(proxies, &proxy,
	    arena_printf(a, "%s, %s", text, "192.0.2.1"));
	must(memcmp(&again, &other, sizeof(again)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const char *text = arena_strndup(a, (const char *)data, size);

	check_tags(a, text);
	check_peer(a, text);
	arena_free(a);
	return 0;
}
