/*
 * render: an answer in the format that was asked for.
 *
 * table and wide are for people; json is the answer as it came; yaml, csv and
 * name are made of it.  With --fields the members that are named, and no
 * others, in every format; a member of a member has a dot ("target.name").
 */
#ifndef CLI_RENDER_H
#define CLI_RENDER_H

#include <stdbool.h>
#include <stddef.h>

struct cJSON;
struct cli;
struct column; /* cli.h */

enum { RENDER_FIELDS_MAX = 64 };

/* -o: one of its words, or an alias; false: it is none. */
bool render_take_format(struct cli *c, const char *word);
/* --fields a,b: false with a message when it holds none, an empty one, or too
 * many. */
bool render_take_fields(struct cli *c, const char *list);

/*
 * A list: rows is a part of json.  cols are those of the table, of which csv
 * takes the members too.  A list that comes in pieces is rendered piece by
 * piece, with one head.
 */
void render_list(struct cli *c, const struct cJSON *json, const char *text,
    const struct cJSON *rows, const struct column *cols, size_t n);
/* One object: a line a member for people. */
void render_object(struct cli *c, const struct cJSON *json, const char *text,
    const char *const *members, size_t n);
/* JSON of which no columns are known: a list, or an object that holds one
 * named "data", or one thing.  For people too it is JSON, unless --fields
 * makes columns of it. */
void render_text(struct cli *c, const char *text);

#endif
