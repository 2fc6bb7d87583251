/*
 * acme_text: texts of an ACME CA, as they are judged and as people read them.
 */
#ifndef WORKER_ISSUERS_ACME_TEXT_H
#define WORKER_ISSUERS_ACME_TEXT_H

#include "common/base/arena.h"

struct cJSON;

#define ACME_WORDS_MAX 300

/* The member's, "" when it is absent, no text, or longer than 2 KiB. */
const char *acme_text(const struct cJSON *object, const char *name);
/* The type of a problem document (RFC 8555 section 6.7) without its URN, "" for
 * none. */
const char *acme_problem(const struct cJSON *problem);
/* What it says, of its parts too, and its type; fit to be shown, "" when it
 * says nothing. */
const char *acme_problem_words(struct arena *a, const struct cJSON *problem);

#endif
