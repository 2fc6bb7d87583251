/*
 * parts: what every process on the database and the bus opens alike.
 *
 * The keys database_url, bus_ca, bus_cert and bus_key are in the tables of all
 * of them.
 */
#ifndef COMMON_DAEMON_PARTS_H
#define COMMON_DAEMON_PARTS_H

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/bus.h"
#include "common/cfg/cfg.h"
#include "common/daemon/daemon.h"
#include "common/db/db.h"

/* Waits for the database to answer, and refuses a schema that is too old; a
 * daemon_program's wait. */
rc part_wait_for_schema(const struct daemon *d) MUST_CHECK;
/*
 * A pool on CERTCTL_DATABASE_URL.  opts gives ceiling and time limits; its url
 * and ignore_env are filled in here.  purpose, or NULL, is told to the database
 * after the program's name.  The reason of a failure is logged.
 */
rc part_pool(const struct daemon *d, const char *purpose,
    const struct db_opts *opts, struct db_pool **out) MUST_CHECK;
/*
 * The two pools of a process that holds a row by renewing it: one for its work,
 * of CERTCTL_DATABASE_MAX_CONNS connections with these settings (or NULL); and
 * one connection for the row, of which an answer that takes longer than a
 * second is worth nothing.  row says what is renewed ("lease").
 */
rc part_work_pools(const struct daemon *d, int64_t statement_timeout_ms,
    int64_t lock_timeout_ms, const struct db_setting *settings, const char *row,
    struct db_pool **out_work, struct db_pool **out_row) MUST_CHECK;
/* The files of CERTCTL_BUS_*; the texts are cfg's. */
struct bus_tls part_bus_tls(const struct cfg *cfg);
/* A client of the schedulers of CERTCTL_BUS_URLS.  The reason of a failure is
 * logged; RC_INVALID also when none is named. */
rc part_bus_client(const struct daemon *d, const struct bus_client_ops *ops,
    void *arg, struct bus_client **out) MUST_CHECK;

#endif
