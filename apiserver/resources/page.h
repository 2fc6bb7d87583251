/*
 * page: a list in pages: what the client asks for, the parameters of the
 * statement, the envelope of the answer; and who a change is booked to.
 *
 * Two forms of one order.  ?page=&per_page= counts rows from the start, so its
 * cost grows with the depth, and it ends at PAGE_DEPTH_MAX rows.  ?cursor= goes
 * on behind the row whose keys it holds, at the same cost anywhere; any text
 * that is no cursor stands for the start.
 */
#ifndef APISERVER_RESOURCES_PAGE_H
#define APISERVER_RESOURCES_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/resources/cursor.h"
#include "apiserver/resources/field.h"
#include "common/op/op.h"

enum {
	/* Rows that may be counted to find a page's end. */
	PAGE_DEPTH_MAX = 100000,
	PAGE_SIZE_MAX = 500, /* rows of an answer */
	/* Of one that is whole, as far as it goes. */
	PAGE_WHOLE_MAX = 5000,
	PAGE_NUMBER_MAX = 1000000000
};

/* A page being asked for; lives as long as its op. */
struct page {
	int64_t page, per_page;
	int64_t size;     /* rows of an answer: ?page_size=, else per_page */
	bool is_walk;     /* the cursor form */
	bool tells_next;  /* where a walk would go on, if there is more */
	bool is_said;     /* the query says something of pages */
	bool counts_rows; /* per_page of the answer is how many it has */
	const struct cursor_key *keys;
	size_t nkeys;
	/* Of the statement: limit, offset, and the keys to go on behind, each
	 * NULL at the start. */
	const char *params[2 + CURSOR_KEYS_MAX];
	size_t nparams;

	/* Of page_ask. */
	const struct db_result *rows, *total;
	struct db_stmt count;
	op_step *done;
};

/* Numbers as parameters, in the op's arena. */
const char *page_num(struct op *op, int64_t n);

/* Who made this request, for audit events. */
const char *page_actor(const struct op *op);

/*
 * Reads the query.  keys: the list's order, unique as a whole, columns of its
 * rows; they outlive the op.  NULL, or why it is refused.
 */
const char *page_read(struct op *op, const struct cursor_key *keys,
    size_t nkeys, struct page *out);
/* Lets an answer in the page form hand out the cursor to go on with, where the
 * rows are in the order of the walk.  Before the parameters are used. */
void page_tell_next(struct op *op, struct page *p);
/* Lets an answer be the whole list where the query says nothing of pages, as
 * the contract has it of some: PAGE_WHOLE_MAX rows, and the cursor to go on
 * with if there are more.  Before the parameters are used; whether it is so. */
bool page_take_whole(struct op *op, struct page *p);
/* Copies the parameters; how many they are. */
size_t page_params(const struct page *p, const char **params);
/* Whether it begins where the list does. */
bool page_is_first(const struct page *p);

/*
 * Asks for the rows, and for how many there are; done answers with page_done.
 * A rare filter walks a table to its end, so with is_filtered the number is
 * asked for behind the rows, and not at all when they tell it: all of them
 * are on the page, or it is the last one.  p: what the op's state begins with.
 */
enum op_next page_ask(struct op *op, struct page *p, const struct db_stmt *rows,
    const struct db_stmt *total, bool is_filtered, op_step *done);
/* The answer, as of page_reply. */
enum op_next page_done(struct op *op, const struct page *p,
    const struct field *fields, size_t n, const char *only);

/*
 * {"data":[...],"total":n,"page":p,"per_page":k}, or for a walk
 * {"data":[...],"total":n,"next_cursor":"...","page_size":k}, the cursor only
 * when there is more; a page has it too after page_tell_next.  The rows are the
 * first result of the op; total has the columns total and is_capped, or is NULL
 * for a list that says none.  A total that is an estimate or the cap of the
 * count adds "total_is_estimate":true.
 */
enum op_next page_reply(struct op *op, const struct page *p,
    const struct field *fields, size_t n, const char *only,
    const struct db_result *total);
/* Row 0 of the last result as the whole reply. */
enum op_next page_reply_one(struct op *op, int status,
    const struct field *fields, size_t n);

#endif
