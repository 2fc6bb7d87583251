/*
 * Endpoints and addresses that people name: host:port of health checks, which
 * is a host and a port that give the same again; and http addresses, whose
 * host is judged as what is asked.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/arena.h"
#include "common/base/hostport.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/http/http_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

static void
check_hostport(struct arena *a, const char *text)
{
	struct hostport hp, again;
	const char *written;
	rc ret;

	ret = hostport_parse(text, &hp);
	must(ret == RC_OK || ret == RC_INVALID);
	if (ret != RC_OK)
		return;
	must(hp.host[0] != '\0' && strlen(hp.host) <= HOSTNAME_MAX);
	must(hp.port >= 1 && hp.port <= 65535);
	must(plain_is_line(hp.host) && !strpbrk(hp.host, " /@?#[]"));
	written = arena_printf(a, strchr(hp.host, ':') ? "[%s]:%d" : "%s:%d",
	    hp.host, hp.port);
	ret = hostport_parse(written, &again);
	must(ret == RC_OK && again.port == hp.port &&
	     strcmp(again.host, hp.host) == 0);
}

/* With an argument behind it, it leads to the same host. */
static void
check_url(struct arena *a, const char *text)
{
	struct sockaddr_storage at = {0}, again = {0};
	const char *with;

	if (http_url_refuses(text))
		return;
	must(plain_is_line(text));
	with = http_url_with(a, text, "operation=GetCACaps");
	must(!http_url_refuses(with) && strstr(with, "operation=GetCACaps"));
	if (!http_url_address(text, &at)) {
		must(!http_url_address(with, &again));
		return;
	}
	must(at.ss_family == AF_INET || at.ss_family == AF_INET6);
	must(http_url_address(with, &again));
	must(memcmp(&at, &again, sizeof(at)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);
	struct arena *a = arena_new();

	check_hostport(a, text);
	check_url(a, text);
	arena_free(a);
	free(text);
	return 0;
}
