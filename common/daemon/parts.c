#include "common/daemon/parts.h"

#include <stdio.h>

#include "common/db/url.h"
#include "common/log/log.h"
#include "common/migrate/migrate.h"

#define DB_WAIT_MS 30000
#define WORK_QUEUE_MS 5000
#define ROW_TIMEOUT_MS 1000
/* Past that time: a silent connection is replaced within the lease's life. */
#define ROW_SILENCE_MS 200

/* What all pools of the process have alike. */
static void
fill_in(const struct daemon *d, const char *purpose, struct db_opts *o,
    char *title, size_t size)
{
	(void)snprintf(title, size, "certctl-%s%s%s", d->program->process,
	    purpose ? " " : "", purpose ? purpose : "");
	o->url = cfg_str(d->cfg, "database_url");
	o->application_name = title;
	o->ignore_env = true;
	o->home = d->home;
	o->connect_timeout_ms = cfg_int(d->cfg, "database_connect_timeout");
}

rc
part_wait_for_schema(const struct daemon *d)
{
	struct db_opts opts = {.max_conns = 1, .is_plain = true};
	char title[128];

	fill_in(d, "start", &opts, title, sizeof(title));
	return migrate_check(&opts, DB_WAIT_MS);
}

rc
part_pool(const struct daemon *d, const char *purpose,
    const struct db_opts *opts, struct db_pool **out)
{
	struct db_opts full = *opts;
	char title[128];
	rc ret;

	fill_in(d, purpose, &full, title, sizeof(title));
	ret = db_pool_new(d->loop, &full, out);
	if (ret != RC_OK) {
		const char *why = db_url_fault(full.url);

		log_error("CONFIG", "CERTCTL_DATABASE_URL cannot be used: %s",
		    why ? why : rc_name(ret));
	}
	return ret;
}

rc
part_work_pools(const struct daemon *d, int64_t statement_timeout_ms,
    int64_t lock_timeout_ms, const struct db_setting *settings, const char *row,
    struct db_pool **out_work, struct db_pool **out_row)
{
	const struct db_opts work = {
	    .max_conns = (size_t)cfg_int(d->cfg, "database_max_conns"),
	    .queue_deadline_ms = WORK_QUEUE_MS,
	    .statement_timeout_ms = statement_timeout_ms,
	    .lock_timeout_ms = lock_timeout_ms,
	    .settings = settings,
	};
	const struct db_opts one = {
	    .max_conns = 1,
	    .queue_deadline_ms = ROW_TIMEOUT_MS,
	    .statement_timeout_ms = ROW_TIMEOUT_MS,
	    .silence_ms = ROW_SILENCE_MS,
	};
	rc ret;

	ret = part_pool(d, NULL, &work, out_work);
	return ret == RC_OK ? part_pool(d, row, &one, out_row) : ret;
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

rc
part_bus_client(const struct daemon *d, const struct bus_client_ops *ops,
    void *arg, struct bus_client **out)
{
	const char *const *urls = cfg_list(d->cfg, "bus_urls");
	const struct bus_tls tls = part_bus_tls(d->cfg);
	rc ret;

	ret = bus_client_check(urls, &tls);
	if (ret == RC_OK)
		ret = bus_client_new(d->loop, urls, &tls, ops, arg, out);
	if (ret == RC_OK)
		bus_client_set_home(*out, d->home);
	else
		log_error("BUS-URLS", "CERTCTL_BUS_URLS cannot be used (%s)",
		    rc_name(ret));
	return ret;
}
