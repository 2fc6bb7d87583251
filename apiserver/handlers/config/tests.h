/*
 * tests: the steps of the tests of issuers and targets.
 */
#ifndef APISERVER_HANDLERS_CONFIG_TESTS_H
#define APISERVER_HANDLERS_CONFIG_TESTS_H

#include "common/op/op.h"

op_step issuer_test_start;
op_step target_test_start;

/* Asks for the test of the path's {id}: statement ask, and what then stands
 * there, for next; that reads $1 alone, the id. */
enum op_next test_ask(struct op *op, enum query ask, enum query asked,
    op_step *next);

#endif
