/*
 * render: how an answer says what went wrong.
 *
 * An area of routes names its renderer, a row may name another (route.h).
 * Who refuses says why; only the renderer knows the words, the type and the
 * headers that go with it.  A protocol that says errors in its own way is
 * another struct renderer in a file of its own.
 */
#ifndef APISERVER_EDGE_RENDER_H
#define APISERVER_EDGE_RENDER_H

#include "common/base/rc.h"

struct request;

/* What the gate refuses without asking a handler. */
enum refusal {
	REFUSAL_NO_KEY,     /* 401: no Authorization */
	REFUSAL_BAD_HEADER, /* 401: an Authorization that can't be read */
	REFUSAL_BAD_KEY,    /* 401: nobody's */
	REFUSAL_SESSION,    /* 401: a session that is none any more */
	REFUSAL_FORBIDDEN,  /* 403 */
	REFUSAL_NO_PATH,    /* 404 */
	REFUSAL_NO_METHOD,  /* 405; Allow is set already */
	REFUSAL_RATE,       /* 429; Retry-After is set already */
	REFUSAL_LOOKUP      /* 500: who asks, or may, could not be found out */
};

struct renderer {
	const char *name; /* in --print-routes */
	/* Status, headers and body. */
	void (*refuse)(struct request *r, enum refusal why);
	/* Any other error.  message is for the client. */
	void (*error)(struct request *r, int status, const char *message);
};

/* The contract's: {"error","message","request_id"}. */
extern const struct renderer render_api;
/* The same without "request_id", as the contract's of roles, keys and the
 * server's administration are; X-Request-ID has it. */
extern const struct renderer render_brief;
/* As render_api; a 401 speaks of the bootstrap token. */
extern const struct renderer render_register;
/* Problem documents of ACME (edge/render_acme.h). */
extern const struct renderer render_acme;

/* --- by the renderer of the request's route, or of its path's area --- */

void render_refusal(struct request *r, enum refusal why);
void render_error(struct request *r, int status, const char *message);
/* For an op that ended with this code.  Says nothing of our inside. */
void render_failure(struct request *r, rc code, const char *message);

#endif
