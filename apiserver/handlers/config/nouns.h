/*
 * nouns: the descriptors of this directory, by the rows of nouns.def.
 */
#ifndef APISERVER_HANDLERS_CONFIG_NOUNS_H
#define APISERVER_HANDLERS_CONFIG_NOUNS_H

#include "apiserver/resources/resource.h"

#define NOUN(noun, file, path, permission, remove, scope, asks) \
	extern const struct resource resource_##file;
#include "apiserver/handlers/config/nouns.def"
#undef NOUN

#endif
