/*
 * digest: the state of the inventory, looked at and mailed.
 */
#ifndef APISERVER_HANDLERS_DIGEST_DIGEST_H
#define APISERVER_HANDLERS_DIGEST_DIGEST_H

#include "common/op/op.h"

/* The steps of routes.c. */
op_step digest_preview;
op_step digest_send;

#endif
