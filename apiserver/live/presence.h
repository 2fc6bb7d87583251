/*
 * presence: the row by which this process makes itself known, every second.
 */
#ifndef APISERVER_LIVE_PRESENCE_H
#define APISERVER_LIVE_PRESENCE_H

#include "apiserver/api.h"

struct presence; /* defined in presence.c */

struct presence *presence_new(struct api *api);
void presence_free(struct presence *p);

#endif
