/*
 * route: one static table of everything this process answers.
 *
 * Patterns are literal segments and {names}: "/api/v1/certificates/{id}".
 * Each area exports its rows (handlers/<area>/routes.c); route.c joins them
 * at start and refuses duplicates.  HEAD is not GET; a known path with
 * another verb is 405 with Allow; an unknown path is 404, both text/plain.
 */
#ifndef APISERVER_ROUTE_H
#define APISERVER_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/op/op.h"

enum route_access {
	ROUTE_PUBLIC,	 /* no credential looked at */
	ROUTE_PERMISSION, /* permission of the table */
	ROUTE_SIGNED_IN, /* any valid principal */
	ROUTE_AGENT,	 /* permission, and an agent's own key only with
			  * {id} = its own id (403 otherwise) */
	ROUTE_REGISTER	 /* bootstrap token alone, or the permission */
};

struct route {
	const char *method;
	const char *pattern;
	enum route_access access;
	const char *permission; /* "cert.read"; NULL unless it is needed */
	op_step *start;
	int64_t deadline_ms; /* 0: the default of 30 s */
};

struct route_area {
	const struct route *routes;
	size_t n;
};

extern const struct route_area routes_system;	    /* health, ready, version, auth info/check, admin */
extern const struct route_area routes_certificates;
extern const struct route_area routes_jobs;
extern const struct route_area routes_agents;
extern const struct route_area routes_config;	    /* issuers, targets, teams, owners, policies */

#endif
