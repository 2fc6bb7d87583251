/*
 * unheard: an agent that was entered and has not reported since.
 *
 * Who enters an agent gives it the status that it has once it reports, for the
 * wire has no word for one that never did: until it does, it was heard last at
 * the moment when it was entered.
 */
#ifndef CLI_UNHEARD_H
#define CLI_UNHEARD_H

#include <stdbool.h>

struct cJSON;

/* agent: as the API tells of one. */
bool unheard_is(const struct cJSON *agent);

#endif
