/*
 * sharing: one answer for all who ask for the same at the same time.
 *
 * Of those that ask for something one asks the database; who comes while it
 * does waits for its end. Then the first of them asks, and its answer is that
 * of all who waited with it. So each is answered by statements that were sent
 * after it came in, as if it had asked alone. Where the one fails, or goes,
 * those with it ask by themselves. Event loop only.
 */
#ifndef APISERVER_LIVE_SHARING_H
#define APISERVER_LIVE_SHARING_H

#include <stdbool.h>

#include "common/base/blob.h"
#include "common/op/op.h"

struct sharing; /* defined in sharing.c */
struct sharer;  /* defined in sharing.c */

struct shared_answer {
	const char *tag; /* "": it was not made */
	bool is_momentary;
	struct blob *body;
};

struct sharing *sharing_new(void);
/* No op may be waiting. */
void sharing_free(struct sharing *s);
/* what is copied.  What is given back ends with op. */
struct sharer *sharing_join(struct sharing *s, struct op *op, const char *what);
/* Whether op is to ask by itself.  Else it parks, and is woken when it is to,
 * or has an answer. */
bool sharer_asks(const struct sharer *c);
/* NULL: it has none.  Lives as long as the op. */
const struct shared_answer *sharer_answer(const struct sharer *c);
/* Of one that asks, at its end.  The answer's tag is copied and its body held;
 * NULL: it has none that is right for others. */
void sharer_tell(struct sharer *c, const struct shared_answer *answer);

#endif
