/*
 * render_view: what the formats are made of.
 */
#ifndef CLI_RENDER_VIEW_H
#define CLI_RENDER_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

struct cJSON;

struct render_view {
	const struct cJSON *json; /* the whole answer */
	const struct cJSON *rows; /* a list in it; NULL: json is the one row */
	const struct column *cols;
	size_t ncols;
	bool is_known; /* the columns are the command's or --fields */
};

/* The first row, or NULL; and the next one of each. */
const struct cJSON *render_first(const struct render_view *v);
const struct cJSON *render_next(const struct render_view *v,
    const struct cJSON *row);
/* A member, or with dots one of a member's; NULL: absent. */
const struct cJSON *render_member(struct cli *c, const struct cJSON *row,
    const char *path);

/* "last_error" as the head of a column: "LAST ERROR". */
const char *render_head(struct cli *c, const char *member);

/* render_table.c: a table and its total, or a line a member. */
void render_table(struct cli *c, const struct render_view *v);
/* render_csv.c: RFC 4180, with a head the first time. */
void render_csv(struct cli *c, const struct render_view *v);
/* render_yaml.c: a document of YAML 1.1 and 1.2. */
void render_yaml(struct cli *c, const struct cJSON *json);

#endif
