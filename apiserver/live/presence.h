/*
 * presence: the row by which this process makes itself known, every second.
 */
#ifndef APISERVER_LIVE_PRESENCE_H
#define APISERVER_LIVE_PRESENCE_H

#include "apiserver/api.h"

struct presence; /* defined in presence.c */

struct presence *presence_new(struct api *api);
void presence_free(struct presence *p);
/* Whether a function that reads and writes works on the process's own
 * connection: NULL, or why it did not a second ago. */
const char *presence_trouble(const struct presence *p);

#endif
