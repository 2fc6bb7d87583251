#include "common/bus/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/enc.h"

static const char *const suffix[BUS_LINK_COUNT] = {
    [BUS_HINT] = ".hint",
    [BUS_WORK] = ".work",
    [BUS_EVENTS] = ".events",
};

/* The text after prefix, or NULL. */
static const char *
after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static bool
is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return false;
}

static rc
parse_ipc(const char *path, struct bus_addr *out, const char **out_why)
{
	size_t len = strlen(path);

	if (path[0] != '/' || len < 2 || path[len - 1] == '/') {
		*out_why = "an ipc:// address needs the absolute path of a "
			   "file, as in ipc:///run/certctl/sched-1";
		return RC_INVALID;
	}
	if (len + strlen(suffix[BUS_EVENTS]) > BUS_IPC_PATH_MAX) {
		*out_why = "the path is too long: with \".events\" behind it "
			   "it must stay below 100 characters; use a shorter "
			   "runtime directory";
		return RC_INVALID;
	}
	out->is_ipc = true;
	for (int i = 0; i < BUS_LINK_COUNT; i++)
		(void)snprintf(out->url[i], sizeof(out->url[i]), "ipc://%s%s",
		    path, suffix[i]); /* fits: the length was checked */
	return RC_OK;
}

/* "host:port" or "[v6]:port" in two parts. */
static rc
split_host(const char *hostport, struct bus_addr *out, const char **port)
{
	const char *start = hostport, *end;
	size_t len;

	if (hostport[0] == '[') {
		start = hostport + 1;
		end = strchr(start, ']');
		if (!end || end[1] != ':')
			return RC_INVALID;
		*port = end + 2;
	} else {
		end = strchr(hostport, ':');
		if (!end)
			return RC_INVALID;
		*port = end + 1;
	}
	len = (size_t)(end - start);
	if (len == 0 || len > BUS_HOST_MAX)
		return RC_INVALID;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)start[i]) &&
		    !strchr(hostport[0] == '[' ? ":.%" : "-._*", start[i]))
			return RC_INVALID;
	}
	memcpy(out->host, start, len);
	out->host[len] = '\0';
	return RC_OK;
}

static rc
parse_tcp(const char *scheme, const char *hostport, struct bus_addr *out,
    const char **out_why)
{
	const char *port_text;
	const char *open, *close;
	int64_t port;
	rc ret;

	ret = split_host(hostport, out, &port_text);
	if (ret == RC_OK)
		ret = enc_parse_i64(port_text, 1, 65535 - BUS_LINK_COUNT + 1,
		    &port);
	if (ret != RC_OK) {
		*out_why = "expected host:port with a host of at most 100 "
			   "characters and a port from 1 to 65533 (the two "
			   "ports after it are used as well)";
		return RC_INVALID;
	}
	if (!out->is_tls && !is_loopback(out->host)) {
		*out_why = "plain tcp:// is for loopback addresses only; use "
			   "tls+tcp:// between hosts";
		return RC_INVALID;
	}
	open = strchr(out->host, ':') ? "[" : "";
	close = open[0] ? "]" : "";
	for (int i = 0; i < BUS_LINK_COUNT; i++)
		(void)snprintf(out->url[i], sizeof(out->url[i]), "%s%s%s%s:%d",
		    scheme, open, out->host, close,
		    (int)port + i); /* fits: the host's length was checked */
	return RC_OK;
}

rc
bus_addr_parse(const char *url, struct bus_addr *out, const char **out_why)
{
	struct bus_addr a;
	const char *rest;
	rc ret;

	memset(&a, 0, sizeof(a));
	*out_why = "";
	rest = after(url, "ipc://");
	if (rest) {
		ret = parse_ipc(rest, &a, out_why);
		goto end;
	}
	rest = after(url, "tls+tcp://");
	if (rest) {
		a.is_tls = true;
		ret = parse_tcp("tls+tcp://", rest, &a, out_why);
		goto end;
	}
	rest = after(url, "tcp://");
	if (rest) {
		ret = parse_tcp("tcp://", rest, &a, out_why);
		goto end;
	}
	*out_why = "a bus address begins with ipc://, tls+tcp:// or, on "
		   "loopback, tcp://";
	return RC_INVALID;
end:
	if (ret == RC_OK)
		*out = a;
	return ret;
}
