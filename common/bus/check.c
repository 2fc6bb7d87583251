#include <errno.h>
#include <libgen.h>
#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/bus/addr.h"
#include "common/bus/bus.h"
#include "common/bus/buscert.h"
#include "common/log/log.h"

static rc
parse(const char *url, struct bus_addr *out)
{
	const char *why;
	rc ret;

	ret = bus_addr_parse(url, out, &why);
	if (ret != RC_OK)
		log_error("BUS-ADDRESS", "%s: %s", url, why);
	return ret;
}

static rc
check_tls(const struct bus_addr *addr, const struct bus_tls *tls,
    const char *host)
{
	nng_tls_config *cfg = NULL;
	rc ret;

	if (!addr->is_tls)
		return RC_OK;
	ret = buscert_load(tls, host, &cfg);
	if (ret == RC_OK)
		nng_tls_config_free(cfg);
	return ret;
}

/* A socket is made in its directory. */
static rc
check_directory(const char *url)
{
	char *path = mem_strdup(url + strlen("ipc://"));
	const char *dir = dirname(path);
	rc ret = RC_OK;

	if (access(dir, W_OK | X_OK) != 0) {
		log_error("BUS-ADDRESS", "%s: %s: %s", url, dir,
		    strerror(errno));
		ret = RC_INVALID;
	}
	free(path);
	return ret;
}

rc
bus_server_check(const char *url, const struct bus_tls *tls)
{
	struct bus_addr addr;
	rc ret;

	ret = parse(url, &addr);
	if (ret == RC_OK)
		ret = check_tls(&addr, tls, NULL);
	if (ret == RC_OK && addr.is_ipc)
		ret = check_directory(addr.url[BUS_HINT]);
	return ret;
}

rc
bus_client_check(const char *const *urls, const struct bus_tls *tls)
{
	struct bus_addr addr;
	rc all = RC_OK, ret;

	for (size_t i = 0; urls[i]; i++) {
		ret = parse(urls[i], &addr);
		if (ret == RC_OK)
			ret = check_tls(&addr, tls, addr.host);
		all = rc_first(all, ret);
	}
	return all;
}
