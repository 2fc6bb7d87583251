/*
 * agent: what the parts of the agent share.
 *
 * One process, one event loop.  Every piece of work (an enrolment, a
 * deployment, a poll) is an op whose owner is a struct agent_op; HTTP calls,
 * programs and handshakes are waits of that op (call.h).
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/allow.h"
#include "common/cfg/cfg.h"
#include "common/http/http_out.h"
#include "common/loop/loop.h"

struct tls_prober;

struct agent {
	struct loop *loop;
	struct cfg *cfg;
	struct http_out *http;
	struct tls_prober *prober; /* probe.h */
	char *server_url;          /* no trailing slash */
	struct allow allow;        /* what targets may do on this host */
	const char *own_dirs[4];
	const char *name;
	char hostname[256];
	char id[129];      /* "" until registered */
	char api_key[513]; /* wiped at exit */
	/* home.h: 0700, ours; -1 while not open. */
	int key_dir_fd;
	int journal_dir_fd;
	int served_dir_fd;
	int state_dir_fd;
	bool told_unknown; /* logged that the server does not know us */
	bool is_retired;   /* the server said 410: leave, status 0 */
	bool is_stopping;
	int exit_status;
	struct stop *stop;
	struct poll *poll;
	struct op *registering; /* or NULL */
	struct heartbeat *heartbeat;
	struct served *served;
	struct discovery *discovery; /* NULL: no directories are named */
	/* news.h; NULL: nobody is told. */
	void (*on_deployed)(struct agent *a);
	void (*on_served_changed)(struct agent *a);
};

#endif
