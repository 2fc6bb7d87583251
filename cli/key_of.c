#include "cli/key_of.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/contexts.h"
#include "cli/out.h"
#include "cli/talk.h"

/* --- one server --- */

#define SCHEME "https://"

/* Of "host:443/path/": what names the host, and what is behind. */
struct place {
	const char *host, *path;
	size_t host_len, path_len;
};

static bool
take_apart(const char *url, struct place *out)
{
	if (strncasecmp(url, SCHEME, strlen(SCHEME)) != 0)
		return false;
	out->host = url + strlen(SCHEME);
	out->host_len = strcspn(out->host, "/?#");
	out->path = out->host + out->host_len;
	out->path_len = strlen(out->path);
	while (out->path_len > 0 && out->path[out->path_len - 1] == '/')
		out->path_len--;
	if (out->host_len > 4 &&
	    memcmp(out->path - strlen(":443"), ":443", strlen(":443")) == 0)
		out->host_len -= strlen(":443");
	return true;
}

bool
key_of_same(const char *a, const char *b)
{
	struct place x, y;

	if (!take_apart(a, &x) || !take_apart(b, &y))
		return strcmp(a, b) == 0;
	return x.host_len == y.host_len && x.path_len == y.path_len &&
	       strncasecmp(x.host, y.host, x.host_len) == 0 &&
	       memcmp(x.path, y.path, x.path_len) == 0;
}

/* --- the key --- */

static bool
refuse(const char *why, const char *fix)
{
	talk_failure(&(struct talk_failure){.why = why, .fix = fix});
	return false;
}

static bool
refuse_server(struct cli *c, const char *its, const char *server)
{
	return refuse(
	    arena_printf(c->arena,
		"CERTCTL_API_KEY is the key of %s (CERTCTL_SERVER_URL), and "
		"%s is asked; nothing was sent",
		out_harmless(c->arena, its), out_harmless(c->arena, server)),
	    "set CERTCTL_SERVER_URL and CERTCTL_API_KEY to what belongs "
	    "together; or unset both, and keep each server with its key as a "
	    "context (certctl context add).");
}

static bool
refuse_context(struct cli *c, const struct context *x)
{
	return refuse(
	    arena_printf(c->arena,
		"CERTCTL_API_KEY is another key than that of the context "
		"\"%s\", and nothing says that it is for %s; nothing was sent",
		x->name, out_harmless(c->arena, x->server)),
	    "unset CERTCTL_API_KEY, and the context's key is used; or set "
	    "CERTCTL_SERVER_URL to that server too, if the key is for it.");
}

bool
key_of_may_go(struct cli *c, const char *server, const struct context *context)
{
	const char *key = getenv("CERTCTL_API_KEY");
	const char *its = getenv("CERTCTL_SERVER_URL");

	if (args_value(c, "--api-key") || !key || !key[0])
		return true;
	if (its && its[0])
		return key_of_same(its, server) ||
		       refuse_server(c, its, server);
	if (context && context->api_key[0] &&
	    strcmp(context->api_key, key) != 0)
		return refuse_context(c, context);
	return true;
}
