/*
 * names: objects that were given by their names.
 *
 * An id is tried first, so a name costs calls only where no object has it as
 * its id, and an object can't take the place of another by its name.
 */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include "cli/cli.h"

struct cJSON;

/* Whether the answer may be so because an id is a name. */
bool names_may_help(const struct cli *c, const struct answer *a);
/* Puts ids in the place of words and values that are names; *out_changed:
 * there were such.  Another exit code than EXIT_DONE, told: several objects
 * have that name. */
int names_to_ids(struct cli *c, bool *out_changed);
/* The same, and in the members of a body (*body may be NULL) that are ids,
 * whatever they came by: --set, --file, or a list of an option. */
int names_of_call(struct cli *c, const char **body, bool *out_changed);
/* names_may_help, then names_to_ids: *out_again when the call is to be made
 * again, with ids. */
int names_after(struct cli *c, const struct answer *a, bool *out_again);
/* The same before a call that would not say that it knows no such id: each is
 * asked for as an id first.  but: a noun whose words stay as they are unless
 * they can be no ids, or NULL. */
int names_before(struct cli *c, const char *but);
/* names_of_call where nothing is sent: each is asked for as an id first. */
int names_before_call(struct cli *c, const char **body);
/* The same of certificates that an answer named as unknown: an array of texts,
 * or of objects with a certificate_id. */
int names_of_unknown(struct cli *c, const struct cJSON *unknown,
    bool *out_changed);
/* The id of the noun's one object of that name, in the place of *word, which
 * stays where there is none. The server has said that it is no id. */
int names_find(struct cli *c, const char *noun, const char **word);
/* The id of an object of the noun that has that name, be it its id as well;
 * NULL: none is known.  One question of the server's list. */
const char *names_holder(struct cli *c, const char *noun, const char *name);

#endif
