/*
 * rest_order: one order at a CA that is asked over HTTP and answers in JSON:
 * what connectors to such CAs share.
 *
 * A connector's own struct begins with a rest_order, and its callbacks get that
 * struct.  A question is begun once (rest_begin), may take several calls
 * one after another, and is answered once (rest_answer, rest_issued,
 * rest_judge).  Whose question it is, and in what order its calls follow, says
 * the connector's table (rest_ca.h).
 */
#ifndef WORKER_ISSUERS_REST_ORDER_H
#define WORKER_ISSUERS_REST_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/json/json.h"
#include "worker/issuers/issuer.h"
#include "worker/issuers/issuer_http.h"

#define REST_REPLY_MAX ((size_t)1024 * 1024)
#define REST_TEXT_MAX 255

/* Answers by what the CA shows of an order; gets the connector's struct. */
typedef void rest_judge_fn(void *order, const struct cJSON *shown);

struct rest_ca;
struct rest_list;    /* defined in rest_list.c */
struct rest_look_up; /* defined in rest_look_up.c */

struct rest_order {
	const struct issuer_env *env;
	const struct issuer_order *order; /* NULL: to revoke, or for a test */
	struct arena *a;
	/* What the replies to its calls live in: the same, but in a look-up,
	 * whose rounds have one each. */
	struct arena *replies;
	const struct rest_ca *ca;
	/* the connector's, of its configuration */
	const char *base_url;
	const struct http_header *headers; /* by which it is let in */
	const char *content_type;          /* NULL: JSON by its usual name */
	/* Where the CA's own URLs depend on it; NULL: they do not. */
	const char *const *own_urls;
	/* of the question */
	const char *order_id; /* NULL: not known yet */
	/* by what the CA calls what it issued; NULL: by nothing */
	const char *certificate_id;
	struct rest_look_up *look_up; /* NULL: none was begun */
	struct rest_list *list;       /* NULL: none is asked for */
	bool is_test;
	/* its last call, which is made when it has signed in */
	struct rest_question {
		const char *method, *path, *body;
		issuer_reply_fn *next;
	} after;
	struct http_header bearer[2];
	const char *token_key; /* by which its token is known; NULL: none */
	bool is_kept_token;    /* from before */
	/* of a revocation */
	const char *refusal; /* NULL: it did not refuse */
	const char *look;
	issuer_reply_fn *on_look;
	issuer_answer_fn *done;
	void *arg;
};

/* A question: who hears of it, and about which order of the CA's. */
void rest_begin(struct rest_order *o, const char *order_id,
    issuer_answer_fn *done, void *arg);
/* The first call of a question, for which it is signed in where the CA wants
 * that: path stands behind the base URL; body: JSON, NULL for none.  As
 * issuer_http_start, and "next" is called with o. */
rc rest_call(struct rest_order *o, const char *method, const char *path,
    const char *body, issuer_reply_fn *next) MUST_CHECK;
/* Such a call by itself: of signing in. */
rc rest_send(struct rest_order *o, const char *method, const char *path,
    const char *body, issuer_reply_fn *next) MUST_CHECK;
/* In place of signing in, where an order needs none: what was to be asked. */
rc rest_go_on(struct rest_order *o) MUST_CHECK;
/* By what a token is known that was given for a secret, at this CA, and by what
 * else it depends on. */
const char *rest_token_key(struct rest_order *o, const char *secret,
    const char *others);
/* A later call of the same question: RETRY if it can't even be started. */
void rest_next(struct rest_order *o, const char *method, const char *path,
    const char *body, issuer_reply_fn *next);
void rest_get(struct rest_order *o, const char *path, issuer_reply_fn *next);

/* The body of a call: an object, whose members are written between the two. */
struct rest_body {
	struct buf buf;
	struct json_w w;
};
struct json_w *rest_body_start(struct rest_body *b);
const char *rest_body_end(struct rest_body *b, struct arena *a);

/* 2xx. */
bool rest_is_good(const struct issuer_reply *r);
/* Of the member, a whole number of 1 or more, in digits; NULL: it is none. */
const char *rest_id(struct rest_order *o, const struct cJSON *object,
    const char *name);
/* Percent-encoded, but for what names are made of. */
const char *rest_url_text(struct arena *a, const char *text);
/* The same block of PEM, whatever its lines look like. */
bool rest_is_same_pem(const char *a, const char *b);
/* A certificate, "" for none, and those of a list that a CA sends, however many
 * items that has: texts, or a member of objects by that name (NULL: texts). */
const char *rest_pems(struct rest_order *o, const char *leaf,
    const struct cJSON *chain, const char *member);
/* The request's common name, or its first name. */
const char *rest_common_name(const struct issuer_order *order);
/* "certctl <reference>": what is left at the CA, for people and look-ups. */
const char *rest_comment(struct rest_order *o);

/* The words of a CA's statuses that end an order, or say that there is a
 * certificate; without a word at the end.  Whatever else it says: PENDING. */
struct rest_word {
	const char *word; /* in any case */
	enum issuer_verdict verdict;
};
enum issuer_verdict rest_verdict(const struct rest_word *words,
    const char *word);

/* The answers to a question. */
void rest_answer(struct rest_order *o, enum issuer_verdict verdict,
    const char *words, int64_t retry_after_s);
/* In the reply's own words. */
void rest_answer_reply(struct rest_order *o, enum issuer_verdict verdict,
    const struct issuer_reply *r);
/* What a reply other than the one hoped for means, for an order that was to be
 * placed and for a question about one (issuer_http_judge_*). */
void rest_judge_order(struct rest_order *o, const struct issuer_reply *r);
/* Likewise, of a CA that answers an order with its certificate: an error in its
 * own words (JSON) says that it gave none, whatever the status. */
void rest_judge_given(struct rest_order *o, const struct issuer_reply *r);
void rest_judge_question(struct rest_order *o, const struct issuer_reply *r);
/* Of the call that tests an issuer: DONE, REFUSED or RETRY. */
issuer_reply_fn rest_judge_test;
/* What a CA answers that is told to revoke: DONE; where it refuses, the
 * certificate is looked at, which may have been revoked before (rest_look_at):
 * DONE, or REFUSED in these words. */
issuer_reply_fn rest_on_revoked;
/* Of the question what became of an order: a good reply in JSON is the
 * connector's to judge. */
issuer_reply_fn rest_on_order;
/* An issued certificate that is not to be had yet, or not this time. */
void rest_not_fetched(struct rest_order *o, enum issuer_verdict verdict,
    const struct issuer_reply *r);
/* The certificates, PEM in any order: what is answered is the one with the
 * request's key, then who signed it, and no root. */
void rest_issued(struct rest_order *o, const char *pem, size_t len);

#endif
