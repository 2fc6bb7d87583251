/*
 * replace_words: what the server says of replacements, for people.
 */
#ifndef CLI_REPLACE_WORDS_H
#define CLI_REPLACE_WORDS_H

#include <stdint.h>

#include "cli/cli.h"

struct cJSON;

/* Why a certificate waits or stays; why nothing moves.  A word that this
 * version does not know stands for itself. */
const char *replace_say_reason(const char *word);
const char *replace_say_stop(const char *word);
/* 0 where there is none of that name. */
int64_t replace_number(const struct cJSON *object, const char *name);

#endif
