/*
 * keys: what clients of the ACME server do with their keys and certificates:
 * key change and revocation (RFC 8555 sections 7.3.5 and 7.6), renewal
 * information (RFC 9773).
 */
#ifndef APISERVER_HANDLERS_ACME_KEYS_H
#define APISERVER_HANDLERS_ACME_KEYS_H

#include "common/jose/refusal.h"
#include "common/op/op.h"

op_step acme_key_change_start;
op_step acme_revoke_start;
op_step acme_renewal_info_start;

#endif
