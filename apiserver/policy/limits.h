/*
 * limits: how many requests a second an address may make before we know who
 * asks, and a principal after that.
 *
 * Who has a good key is counted by name alone, so that a fleet of agents
 * behind one address is no crowd.  Event loop only.
 */
#ifndef APISERVER_POLICY_LIMITS_H
#define APISERVER_POLICY_LIMITS_H

#include <stdbool.h>

#include "apiserver/edge/peer.h"
#include "apiserver/edge/request.h"
#include "common/cfg/cfg.h"
#include "common/loop/loop.h"

struct limits; /* defined in limits.c */

struct limits *limits_new(struct loop *l, const struct cfg *cfg);
void limits_free(struct limits *m);
/* One request that shows no good key. */
bool limits_take_address(struct limits *m, const struct peer_addr *a);
/* Whether limits_take_address would say yes. */
bool limits_has_address(const struct limits *m, const struct peer_addr *a);
/* One request of a known principal. */
bool limits_take_principal(struct limits *m, const struct principal *p);
/* Whole seconds, at least one, until what was refused is worth another try: of
 * the principal, or of the address when nobody is known. */
int64_t limits_wait_s(const struct limits *m, const struct peer_addr *a,
    const struct principal *p);
/* One certificate exported by it, of
 * CERTCTL_CERT_EXPORT_RATE_LIMIT_PER_ACTOR_HR an hour, whether other rates are
 * limited or not; 0, or the seconds until it may have another. */
int64_t limits_take_export(struct limits *m, const struct principal *p);
/* One OCSP request of an address, of CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN a
 * minute, whether other rates are limited or not. */
bool limits_take_ocsp(struct limits *m, const struct peer_addr *a);

#endif
