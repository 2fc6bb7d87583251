/*
 * tests: the steps of the tests of issuers and targets.
 */
#ifndef APISERVER_HANDLERS_CONFIG_TESTS_H
#define APISERVER_HANDLERS_CONFIG_TESTS_H

#include "common/op/op.h"

op_step issuer_test_start;
op_step target_test_start;

#endif
