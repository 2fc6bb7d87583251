/*
 * acme_admin: what operators see of the ACME server's accounts and orders, and
 * the end of an account that they decide on.  Clients have routes of their own
 * (handlers/acme).
 */
#ifndef APISERVER_HANDLERS_ACME_ADMIN_ACME_ADMIN_H
#define APISERVER_HANDLERS_ACME_ADMIN_ACME_ADMIN_H

#include "common/op/op.h"

op_step acme_account_list;
op_step acme_account_get;
op_step acme_account_revoke;
op_step acme_order_list;
op_step acme_order_get;

#endif
