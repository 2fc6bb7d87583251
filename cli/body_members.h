/*
 * body_members: which members the body of a command can have, as its row says,
 * and what is told of another.
 *
 * The API passes over what it does not know; a person who misspelt it must
 * hear of it.  Objects inside of members are free: the API says what may stand
 * in them.
 */
#ifndef CLI_BODY_MEMBERS_H
#define CLI_BODY_MEMBERS_H

#include "common/base/attr.h"

struct cJSON;
struct cli;

/* EXIT_USAGE with a message: a --set names no member, or one that stands in
 * an option or a word as well.  Asks nobody. */
int body_members_check_sets(struct cli *c) MUST_CHECK;
/* The same of the members of a file, by whose name they are told.  What only
 * answers have is taken out of it, and told: so what get printed can be sent.
 */
int body_members_take_file(struct cli *c, const char *file,
    struct cJSON *object) MUST_CHECK;
/* EXIT_USAGE with a message: the member that a word gives is neither a word
 * nor in the body. */
int body_members_check_word(struct cli *c, const struct cJSON *body) MUST_CHECK;

#endif
