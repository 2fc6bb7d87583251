/*
 * acme: the first steps of the directory's, nonces' and accounts' routes.
 */
#ifndef APISERVER_HANDLERS_ACME_ACME_H
#define APISERVER_HANDLERS_ACME_ACME_H

#include "common/op/op.h"

op_step acme_directory_start;
op_step acme_directory_post_start;
op_step acme_new_nonce_start;
op_step acme_new_nonce_post_start;
op_step acme_new_account_start;
op_step acme_account_start;

#endif
