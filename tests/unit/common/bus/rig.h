/*
 * rig: servers and clients of the bus on one real loop, with what they heard.
 */
#ifndef TESTS_UNIT_COMMON_BUS_RIG_H
#define TESTS_UNIT_COMMON_BUS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/loop/loop.h"

#define RIG_ASKED_MAX 1024

struct rig {
	struct loop *loop;
	char dir[64];
};

/* A loop and a private directory.  false: it could not be made. */
bool rig_init(struct rig *r);
/* Removes the directory and what lies in it. */
void rig_fini(struct rig *r);
/* "ipc://<dir>/<name>" in out. */
void rig_url(const struct rig *r, const char *name, char out[160]);
/* Runs the loop until cond(arg) or for ms; returns what cond says then. */
bool rig_until(struct rig *r, bool (*cond)(void *arg), void *arg, int64_t ms);
/* Runs the loop for ms. */
void rig_pass(struct rig *r, int64_t ms);
/* A condition: the int at arg is above 0. */
bool rig_is_positive(void *arg);

struct asked {
	uint64_t reply_to;
	uint32_t pipe;
	char body[64];
};

struct rig_server {
	struct rig *rig;
	struct bus_server *bus;
	struct timer *beat;
	uint64_t term; /* 0: no beats at all */
	bool is_leading;
	bool is_mute;          /* answers a hello, and publishes no beats */
	const char *beat_body; /* NULL: whether it leads */
	int hellos;
	char hello[64];
	int hints;
	char hint[64];
	struct asked asked[RIG_ASKED_MAX];
	int n_asked;
	uint32_t closed[64];
	int n_closed;
};

/* Beats every 50 ms. */
rc rig_server_start(struct rig *r, struct rig_server *s, const char *url,
    const struct bus_tls *tls, uint64_t term, bool is_leading);
void rig_server_stop(struct rig_server *s);
void rig_server_event(struct rig_server *s, const char *body);
void rig_server_answer(struct rig_server *s, int i, const char *body);

struct rig_client {
	struct bus_client *bus;
	int events;
	char event[64];
	int leaders; /* changes heard */
	uint64_t term;
};

rc rig_client_start(struct rig *r, struct rig_client *c,
    const char *const *urls, const struct bus_tls *tls);
/* One that wants no events. */
rc rig_client_start_deaf(struct rig *r, struct rig_client *c,
    const char *const *urls);
void rig_client_stop(struct rig_client *c);
/* Whether c follows term. */
bool rig_follows(struct rig *r, struct rig_client *c, uint64_t term,
    int64_t ms);

/* rig_init, and the url of "a" in it. */
bool rig_start(struct rig *r, char out_url[160]);
/* Stops what of them runs, and the rig; b may be NULL. */
void rig_stop(struct rig *r, struct rig_client *c, struct rig_server *a,
    struct rig_server *b);

struct rig_reply {
	int calls;
	rc code;
	uint8_t kind;
	char body[64];
};

rc rig_ask(struct rig_client *c, const char *body, int64_t timeout_ms,
    struct rig_reply *reply);

#endif
