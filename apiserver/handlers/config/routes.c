/*
 * Routes of the configuration nouns: five of every row of nouns.def, and the
 * tests of issuers and targets.
 */
#include "apiserver/handlers/config/nouns.h"
#include "apiserver/handlers/config/tests.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define NOUN(noun, file, path, perm, remove, in_scope, asks) \
	RESOURCE_STEPS(noun, resource_##file)
#include "apiserver/handlers/config/nouns.def"
#undef NOUN

static const struct route rows[] = {
#define NOUN(noun, file, path, perm, remove, in_scope, asks) \
	{"GET", path, perm ".read", noun##_list, \
	    .resource = &resource_##file}, \
	    {"POST", path, perm ".edit", noun##_create, "create_" #noun, \
		.resource = &resource_##file}, \
	    {"GET", path "/{id}", perm ".read", noun##_get, \
		.scope = (in_scope), .resource = &resource_##file}, \
	    {"PUT", path "/{id}", perm ".edit", noun##_update, \
		"update_" #noun asks, .scope = (in_scope), \
		.resource = &resource_##file}, \
	    {"DELETE", path "/{id}", perm "." remove, noun##_delete, \
		"delete_" #noun, .scope = (in_scope), \
		.resource = &resource_##file},
#include "apiserver/handlers/config/nouns.def"
#undef NOUN
    {"POST", "/api/v1/issuers/{id}/test", "issuer.edit", issuer_test_start,
	"issuer_test_connection_success", .scope = ROUTE_ISSUER},
    {"POST", "/api/v1/targets/{id}/test", "target.edit", target_test_start,
	"target_test_connection_success target_test_connection_failed"},
};

const struct route_area routes_config = ROUTE_API_AREA("config", rows);
