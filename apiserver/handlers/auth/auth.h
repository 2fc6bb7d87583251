/*
 * auth: the start steps of the routes that tell of permissions, roles and keys.
 */
#ifndef APISERVER_HANDLERS_AUTH_AUTH_H
#define APISERVER_HANDLERS_AUTH_AUTH_H

#include "common/op/op.h"

op_step auth_permissions;
op_step auth_roles;
op_step auth_role_get;
op_step auth_keys;

#endif
