/*
 * rest_ca: a connector to a CA that is asked over HTTP, as a table.
 *
 * What such connectors do alike stands here once: a configuration is read, an
 * order is asked for by a path of its own, orders are listed and those that may
 * be ours looked at, a certificate is looked at that may be revoked, a test
 * asks one question.  A connector's table says where and by what; its file has
 * the bodies that it sends and the words that its CA says.
 *
 * The connector's struct issuer_ops names the table (rest) and takes the
 * functions below for its own, but where its CA is another.
 */
#ifndef WORKER_ISSUERS_REST_CA_H
#define WORKER_ISSUERS_REST_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "worker/issuers/issuer_config.h"
#include "worker/issuers/rest_order.h"

struct cJSON;

/* All that get an order get the connector's struct; paths stand behind the base
 * URL. */
typedef const char *rest_path_fn(void *order);

/* A page of the lists in which pending orders are: which list, and from which
 * of its entries on. */
struct rest_page {
	size_t list, from;
};

struct rest_ca {
	size_t size; /* of the connector's struct; it begins with a rest_order*/
	int calls;   /* that placing an order takes at most */

	/* The key of the base URL, and those of the CA's own (or the order's);
	 * the API's version is added where a URL does not end in it (NULL:
	 * none). */
	const char *url_key, *version;
	const char *const *own_urls;
	/* Reads what else it has; the first that is wrong is enough. */
	void (*configure)(void *order, struct issuer_config *c);

	/*
	 * Where each question begins with a call: of which comes a token, for
	 * the header Authorization: Bearer, or something else that the answer
	 * is kept for by the connector (token NULL).  sign_in starts it; token
	 * finds it in the answer, and for how many seconds it is good; NULL: it
	 * has none.  It is remembered by token_key (token_memory.h) where there
	 * is one: a call that is not let in with one from before, 401, is made
	 * once more with a new one.
	 */
	rc (*sign_in)(void *order, issuer_reply_fn *next);
	const char *(
	    *token)(void *order, const struct cJSON *json, int64_t *out_s);
	const char *(*token_key)(void *order);

	/* One order, by its order_id. */
	rest_path_fn *order_path;
	issuer_reply_fn *on_order; /* NULL: rest_on_order */
	rest_judge_fn *judge;      /* by what the CA shows of it */
	/* Of rest_judge_status: the words of its member "status", and what is
	 * called when that is ISSUED. */
	const struct rest_word *statuses;
	void (
	    *fetch)(void *order, const struct cJSON *shown, const char *status);

	/*
	 * A look-up: at list_path, from that entry on, is a page of a list, of
	 * list_size entries at most.  list adds to the candidates those that
	 * may be the order (rest_list_add) and says how many entries it has, or
	 * fewer, where nothing behind them can be it; < 0: it is no list.  The
	 * candidates are asked for at this path and their ids, each by
	 * order_id, until is_ours knows one, or knows by one that it is before
	 * the order, and what is listed behind it too (is_before; NULL: nobody
	 * can know).  lists_serials: their ids are the serial numbers of
	 * certificates, of which those that are stored are not asked for.
	 */
	size_t list_size;
	const char *(*list_path)(void *order, size_t from);
	int64_t (*list)(void *order, const struct cJSON *json);
	bool lists_serials;
	const char *candidates;
	bool (*is_ours)(void *order, const struct cJSON *shown);
	bool (*is_before)(void *order, const struct cJSON *shown);

	/*
	 * What is pending of many orders: at page_path is one page of a list,
	 * of page_size entries at most; NULL: the CA has no further list.
	 * page says rest_is_pending of those that it shows to be, and how many
	 * entries it has; < 0: it is no list.
	 */
	size_t page_size;
	const char *(*page_path)(void *order, const struct rest_page *page);
	int64_t (*page)(void *order, const struct cJSON *json);

	/* By what is shown at the path of rest_look_at. */
	bool (*is_revoked)(const struct cJSON *shown);

	/* A test. */
	rest_path_fn *test_path;
	issuer_reply_fn *on_tested; /* NULL: rest_judge_test */
};

/* Of struct issuer_ops, where it names a table. */
rc rest_open(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const struct issuer_order *order,
    void **out, const char **out_why) MUST_CHECK;
int64_t rest_limit_ms(const void *order);
bool rest_can_look_up(const void *order);
rest_judge_fn rest_judge_status;
rc rest_poll(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg) MUST_CHECK;
rc rest_look_up(void *order, issuer_answer_fn *done, void *arg) MUST_CHECK;
void rest_look_through(void *order, const bool *is_stored,
    issuer_answer_fn *done, void *arg);
/*
 * A look-up at a CA that gives a certificate once, in its answer to the order,
 * and keeps no list in which it could be found: where that answer was lost the
 * order is over, REFUSED, and the next one is another job's.  So a job has one
 * order at most; what may have been issued has a key that nobody else has.
 */
rc rest_look_up_none(void *order, issuer_answer_fn *done, void *arg) MUST_CHECK;
rc rest_list(void *order, const struct issuer_list *asked,
    issuer_answer_fn *done, void *arg) MUST_CHECK;
rc rest_validate(void *order, issuer_answer_fn *done, void *arg) MUST_CHECK;

/* Of list above: another candidate, whose id lives as long as the order; NULL:
 * none. */
void rest_list_add(struct rest_order *o, const char *id);

/*
 * A look-up that a connector does by itself, in rounds: next, with the order,
 * goes on when a later one begins, and what the calls of the one before were
 * answered is gone.  Between two calls it is asked whether the round is over,
 * and then answered by rest_round_end; nseen: entries that were looked at since
 * it was asked, for people.
 */
void rest_rounds_begin(struct rest_order *o, loop_fn *next,
    issuer_answer_fn *done, void *arg);
bool rest_round_is_over(struct rest_order *o, size_t nseen);
void rest_round_end(struct rest_order *o);

/* Of rest_list: the page shows the order of that id as pending; NULL and ids
 * that nobody asked for are passed over. */
void rest_is_pending(struct rest_order *o, const char *id);

/* At which path a certificate that the CA refuses to revoke is looked at, NULL
 * for none, and what it shows there (issuer_reply_fn). */
void rest_look_at(struct rest_order *o, const char *path);
issuer_reply_fn rest_on_shown;

#endif
