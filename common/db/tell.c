/*
 * What a pool says in the log of its server.
 */
#include <stdio.h>
#include <string.h>

#include "common/db/db_int.h"
#include "common/log/log.h"

void
db_tell_server(struct db_pool *p, struct db_conn *c)
{
	const char *addr = PQhostaddr(c->pg);
	char server[sizeof(p->server)], identity[64] = "";

	if (p->home && !p->is_plain)
		db_home_identity(p->home, identity, sizeof(identity));
	(void)snprintf(server, sizeof(server), "%s port %s%s%s%s%s",
	    PQhost(c->pg), PQport(c->pg), addr && addr[0] ? " (" : "",
	    addr ? addr : "", addr && addr[0] ? ")" : "", identity);
	if (c->why.len > 0)
		log_warn("DB-PASSED", "%s; passed over for %s",
		    buf_ok(&c->why) ? buf_cstr(&c->why) : "", server);
	/* One that only looks does not say that the server is of use. */
	if (!p->is_plain &&
	    (p->log_state != DB_LOG_UP || strcmp(server, p->server) != 0))
		log_info("DB-UP", "connected to PostgreSQL %d at %s",
		    PQserverVersion(c->pg) / 10000, server);
	p->log_state = DB_LOG_UP;
	memcpy(p->server, server, sizeof(p->server));
}

void
db_tell_refusal(struct db_pool *p, enum db_refusal refusal, const char *why)
{
	const char *words = db_refusal_words(refusal);

	if (refusal != DB_REFUSED_NOT && refusal != p->refusal)
		log_error("DB-REFUSED",
		    "%s%s%s; trying again until it is mended",
		    strstr(why, words) ? "" : words,
		    strstr(why, words) ? "" : ": ", why);
	p->refusal = refusal;
}

void
db_tell_failure(const struct db_conn *c, bool is_down, const char *why)
{
	struct db_pool *p = c->pool;

	if (c->refusal == DB_REFUSED_NOT && is_down &&
	    p->log_state != DB_LOG_DOWN)
		log_warn("DB-DOWN",
		    "cannot connect to PostgreSQL: %s; trying again until it "
		    "answers",
		    why);
	db_tell_refusal(p, c->refusal, why);
	if (is_down)
		p->log_state = DB_LOG_DOWN;
}
