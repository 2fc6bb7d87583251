/*
 * nouns: the descriptors of this directory.
 */
#ifndef APISERVER_HANDLERS_CONFIG_NOUNS_H
#define APISERVER_HANDLERS_CONFIG_NOUNS_H

#include "apiserver/resources/resource.h"

extern const struct resource resource_teams;
extern const struct resource resource_owners;
extern const struct resource resource_policies;
extern const struct resource resource_issuers;
extern const struct resource resource_targets;

#endif
