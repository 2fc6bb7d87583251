/*
 * frame: the messages of the bus.
 *
 * 'C' 'B', version (1), kind, term (8), request id (8), body length (4), all
 * big-endian, then the body: compact JSON of at most FRAME_BODY_MAX bytes.
 * A frame of an unknown kind or version is answered FRAME_UNKNOWN and logged,
 * never fatal.  No secret travels here.
 */
#ifndef COMMON_BUS_FRAME_H
#define COMMON_BUS_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/rc.h"

#define FRAME_VERSION 1
#define FRAME_HEADER_LEN 24
#define FRAME_BODY_MAX (256 * 1024)

enum frame_kind {
	FRAME_UNKNOWN = 0,
	/* PUSH to the scheduler: {"jobs":n,"issuers":[..],"agents":[..],
	 * "tables":[..],"finished":[job ids]}: what a commit just changed. */
	FRAME_HINT = 1,
	/* REQ, worker to leader: {"worker":incarnation,"room":n,
	 * "holding":[lease ids]}. */
	FRAME_WORK = 2,
	/* REP: {"leases":[{"id":..,"kind":"job"|"task","issuer_id":..,
	 * "count":n}],"revoked":[lease ids],"leader":bool}. */
	FRAME_WORK_REPLY = 3,
	/* PUB: {"leader":bool,"name":..} and over TLS "cert_ends" and
	 * "cert_near", of struct bus_cert: every 100 ms from every scheduler.
	 * REP, to a hello: the same, at once. */
	FRAME_BEAT = 4,
	/* PUB: the body of a hint, passed on to apiservers and workers. */
	FRAME_EVENT = 5,
	/* REQ, to every scheduler whose work link just came up: no body. */
	FRAME_HELLO = 6,
	FRAME_KIND_COUNT
};

struct frame {
	uint8_t kind;
	uint64_t term;
	uint64_t request_id;
	const char *body; /* not NUL-terminated */
	size_t body_len;
};

/* out points into bytes.  RC_INVALID: not a frame of this version. */
rc frame_decode(const uint8_t *bytes, size_t len, struct frame *out) MUST_CHECK;
/* RC_TOO_LARGE past FRAME_BODY_MAX. */
rc frame_encode(const struct frame *f, struct buf *out) MUST_CHECK;
const char *frame_kind_name(uint8_t kind);

#endif
