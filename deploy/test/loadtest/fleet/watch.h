/*
 * watch: what is seen of the agents from outside: their requests, their work,
 * their log lines; and what it comes to.
 *
 * Call from the loop only.
 */
#ifndef FLEET_WATCH_H
#define FLEET_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json/json.h"
#include "common/log/log.h"
#include "deploy/test/loadtest/fleet/cycle.h"
#include "deploy/test/loadtest/fleet/tally.h"

/*          kind, what a request's path holds, its name in the figures */
#define WATCH_REQUESTS(X) \
	X(WATCH_HEARTBEAT, "/heartbeat", "heartbeat") \
	X(WATCH_WORK, "/work?", "work, parked at the server") \
	X(WATCH_RENEW, "/renew", "renewal asked for") \
	X(WATCH_CSR, "/csr", "csr") \
	X(WATCH_PICKUP, "/certificates/", "certificate for an agent") \
	X(WATCH_VERIFY, "/verify", "verification") \
	X(WATCH_STATUS, "/status", "status of a job") \
	X(WATCH_SERVED, "/served", "what is served") \
	X(WATCH_REGISTER, "/api/v1/agents", "registration")

#define WATCH_ENUM(kind, holds, name) kind,
enum watch_request { WATCH_REQUESTS(WATCH_ENUM) WATCH_REQUEST_COUNT };
#undef WATCH_ENUM

/* What happened in one second of the run. */
struct watch_second {
	size_t requests, offered, issued, served, failed;
};

struct watch {
	struct cycles *cycles;
	struct samples took[WATCH_REQUEST_COUNT];
	size_t refused[WATCH_REQUEST_COUNT];
	struct counts *errors; /* by kind: requests, work, log lines */
	struct watch_second *seconds;
	size_t nseconds, cap;
	int64_t since_us; /* of the boot clock; 0: nothing is kept yet */
};

void watch_init(struct watch *w);
void watch_fini(struct watch *w);
/* Requests and seconds are kept from here on; cycles and errors always are. */
void watch_start(struct watch *w);
/* A request was answered; status 0: it was not. */
void watch_request(struct watch *w, const char *url, int status,
    int64_t took_us);
/* The certificate's work came to that point. */
void watch_point(struct watch *w, const char *certificate, const char *job,
    enum cycle_point point);
/* An error that is no request's. */
void watch_error(struct watch *w, const char *kind);
/* Whether a log line of that code is to be written: the first few of each. */
bool watch_log(struct watch *w, enum log_level level, const char *code);
enum watch_request watch_kind(const char *url);
/* Members "requests", "renewals", "errors" and "seconds" of an object. */
void watch_write(struct watch *w, struct json_w *json, double seconds);

#endif
