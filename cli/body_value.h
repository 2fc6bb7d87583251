/*
 * body_value: texts of the command line as values of JSON.
 *
 * An option says what its value is.  Of a member that no option sets the text
 * decides: it is JSON where JSON writes the same text, so 443, true, null,
 * "a", [1] and {} are, and 1.10, 007 and 1e3 stay the texts that they are.
 */
#ifndef CLI_BODY_VALUE_H
#define CLI_BODY_VALUE_H

#include "cli/command.h"

struct cJSON;
struct cli;

/* What the option sends for that text.  NULL, and told: its value is none. */
struct cJSON *body_value_given(struct cli *c, const struct option *o,
    const char *text);
/* The same of --set KEY=VALUE; o: the option that sets the member, or NULL.
 * Beside what the option takes, JSON of its form and null are taken. */
struct cJSON *body_value_set(struct cli *c, const struct option *o,
    const char *text);
/* JSON and nothing else.  NULL: *out_why says why it is none. */
struct cJSON *body_value_json(struct cli *c, const char *text,
    const char **out_why);

#endif
