/*
 * pki: what anyone may ask of our CAs, and what their keepers see of it.
 */
#ifndef APISERVER_HANDLERS_PKI_PKI_H
#define APISERVER_HANDLERS_PKI_PKI_H

#include "common/op/op.h"

/* The steps of routes.c. */
op_step crl_get_start;
op_step crl_get_of_key_start;
op_step crl_cache_start;
op_step ocsp_get_start;
op_step ocsp_post_start;
op_step issuer_cas_start;
op_step issuer_successor_start;
op_step issuer_switch_start;

/* {"error","message"}, status and both texts as they are. */
enum op_next pki_refuse(struct op *op, int status, const char *error,
    const char *message);

#endif
