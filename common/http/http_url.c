#include "common/http/http_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/base/hostname.h"
#include "common/base/plain.h"

static void
url_cleanupp(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void
part_freep(char **part)
{
	curl_free(*part);
}

static bool
has_part(CURLU *u, CURLUPart part)
{
	CLEANUP(part_freep) char *text = NULL;

	return curl_url_get(u, part, &text, 0) == CURLUE_OK;
}

/* What percent-encoding hides is no name of a host (RFC 3986, 3.2.2). */
static bool
has_host(CURLU *u)
{
	CLEANUP(part_freep) char *host = NULL;
	size_t len;

	if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    has_part(u, CURLUPART_ZONEID))
		return false;
	len = strlen(host);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		return hostname_is_address(host + 1);
	}
	if (len > 1 && host[len - 1] == '.')
		host[len - 1] = '\0';
	return hostname_is_address(host) || hostname_is_valid(host, false);
}

/* curl takes one slash and three as well. */
static bool
is_http(const char *url)
{
	size_t scheme = strcspn(url, ":");

	return ((scheme == 4 && strncasecmp(url, "http", scheme) == 0) ||
		   (scheme == 5 && strncasecmp(url, "https", scheme) == 0)) &&
	       strncmp(url + scheme, "://", 3) == 0 && url[scheme + 3] != '/';
}

const char *
http_url_refuses(const char *url)
{
	CLEANUP(url_cleanupp) CURLU *u = curl_url();

	if (!u || !plain_is_line(url) || strpbrk(url, " \"<>\\^`{|}") ||
	    curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    !is_http(url) || !has_host(u))
		return "must be an address http://host/... or https://host/...";
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		return "must hold no user and no password";
	if (has_part(u, CURLUPART_FRAGMENT))
		return "must not end in a fragment (#...)";
	return NULL;
}

bool
http_url_address(const char *url, struct sockaddr_storage *out)
{
	CLEANUP(url_cleanupp) CURLU *u = curl_url();
	CLEANUP(part_freep) char *host = NULL;
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	size_t len;

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return false;
	memset(out, 0, sizeof(*out));
	len = strlen(host);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		memcpy(out, &v6, sizeof(v6));
		return inet_pton(AF_INET6, host + 1,
			   &((struct sockaddr_in6 *)(void *)out)->sin6_addr) ==
		       1;
	}
	memcpy(out, &v4, sizeof(v4));
	return inet_pton(AF_INET, host,
		   &((struct sockaddr_in *)(void *)out)->sin_addr) == 1;
}

const char *
http_url_with(struct arena *a, const char *url, const char *argument)
{
	CLEANUP(url_cleanupp) CURLU *u = curl_url();
	CLEANUP(part_freep) char *whole = NULL;

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_QUERY, argument, CURLU_APPENDQUERY) !=
		CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK)
		return url;
	return arena_strdup(a, whole);
}

/* The host of a URL, brackets aside. */
static const char *
host_of(struct arena *a, const char *host)
{
	size_t len = strlen(host);

	if (len > 2 && host[0] == '[')
		return arena_strndup(a, host + 1, len - 2);
	return arena_strdup(a, host);
}

bool
http_url_join(struct arena *a, const char *base, const char *reference,
    struct http_url_parts *out)
{
	CLEANUP(url_cleanupp) CURLU *u = curl_url();
	CLEANUP(part_freep) char *whole = NULL;
	CLEANUP(part_freep) char *host = NULL;
	CLEANUP(part_freep) char *port = NULL;
	int64_t n;

	if (!u || curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, reference, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) !=
		CURLUE_OK ||
	    enc_parse_i64(port, 1, 65535, &n) != RC_OK)
		return false;
	*out = (struct http_url_parts){
	    .url = arena_strdup(a, whole),
	    .host = host_of(a, host),
	    .port = (int)n,
	};
	return true;
}
