/*
 * Routes of the configuration nouns: five of every row of nouns.def.
 */
#include "apiserver/handlers/config/nouns.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define NOUN(noun, file, path, perm, scope) \
	RESOURCE_STEPS(noun, resource_##file)
#include "apiserver/handlers/config/nouns.def"
#undef NOUN

static const struct route rows[] = {
#define NOUN(noun, file, path, perm, scope) \
	{"GET", path, ROUTE_PERMISSION, perm ".read", noun##_list, 0}, \
	    {"POST", path, ROUTE_PERMISSION, perm ".edit", noun##_create, 0}, \
	    {"GET", path "/{id}", ROUTE_PERMISSION, perm ".read", noun##_get, \
		0, ROUTE_RATED, scope}, \
	    {"PUT", path "/{id}", ROUTE_PERMISSION, perm ".edit", \
		noun##_update, 0, ROUTE_RATED, scope}, \
	    {"DELETE", path "/{id}", ROUTE_PERMISSION, perm ".delete", \
		noun##_delete, 0, ROUTE_RATED, scope},
#include "apiserver/handlers/config/nouns.def"
#undef NOUN
};

const struct route_area routes_config = {"config", rows, ARRAY_LEN(rows)};
