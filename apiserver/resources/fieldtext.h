/*
 * fieldtext: what a text from a body or a query must look like.
 */
#ifndef APISERVER_RESOURCES_FIELDTEXT_H
#define APISERVER_RESOURCES_FIELDTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At most max characters, not bytes, of valid UTF-8. */
bool fieldtext_fits(const char *text, int64_t max);
/* A name that a client chose, as an answer repeats it: "?" where it hides
 * something or is longer than any of ours. */
const char *fieldtext_shown(const char *name);
/* 1..128 of A-Z a-z 0-9 . _ -, not "-" first, and neither "." nor "..". */
bool fieldtext_is_id(const char *text);
/* Whether list, comma-separated, names this word. */
bool fieldtext_names(const char *list, const char *word);
/* The one of these n spellings that equals text but for letter case. */
const char *fieldtext_canonical(const char *const *spellings, size_t n,
    const char *text);
/* The same for a filter: one that is no spelling finds nothing, so it stays as
 * it is.  NULL for NULL. */
const char *fieldtext_filter(const char *const *spellings, size_t n,
    const char *text);

#endif
