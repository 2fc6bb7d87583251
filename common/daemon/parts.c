#include "common/daemon/parts.h"

#include <stdio.h>

#include "common/log/log.h"
#include "common/migrate/migrate.h"

#define DB_WAIT_MS 30000
#define LEASE_TIMEOUT_MS 1000

rc
part_wait_for_schema(const struct cfg *cfg)
{
	return migrate_check(cfg_str(cfg, "database_url"), DB_WAIT_MS);
}

rc
part_pool(const struct daemon *d, const char *purpose,
    const struct db_opts *opts, struct db_pool **out)
{
	struct db_opts full = *opts;
	char title[128];
	rc ret;

	(void)snprintf(title, sizeof(title), "certctl-%s%s%s",
	    d->program->process, purpose ? " " : "", purpose ? purpose : "");
	full.url = cfg_str(d->cfg, "database_url");
	full.application_name = title;
	full.ignore_env = true;
	ret = db_pool_new(d->loop, &full, out);
	if (ret != RC_OK)
		log_error("CONFIG", "CERTCTL_DATABASE_URL cannot be used: %s",
		    rc_name(ret));
	return ret;
}

rc
part_lease_pool(const struct daemon *d, const char *purpose,
    struct db_pool **out)
{
	const struct db_opts opts = {
	    .max_conns = 1,
	    .queue_deadline_ms = LEASE_TIMEOUT_MS,
	    .statement_timeout_ms = LEASE_TIMEOUT_MS,
	};

	return part_pool(d, purpose, &opts, out);
}

static const char *
path_or_null(const struct cfg *cfg, const char *key)
{
	const char *path = cfg_str(cfg, key);

	return path[0] ? path : NULL;
}

struct bus_tls
part_bus_tls(const struct cfg *cfg)
{
	return (struct bus_tls){
	    .ca_file = path_or_null(cfg, "bus_ca"),
	    .cert_file = path_or_null(cfg, "bus_cert"),
	    .key_file = path_or_null(cfg, "bus_key"),
	};
}
