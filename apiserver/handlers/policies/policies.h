/*
 * policies: the start steps of the routes of policy rules' violations; the
 * rules are a noun (handlers/config/rules.c).
 */
#ifndef APISERVER_HANDLERS_POLICIES_POLICIES_H
#define APISERVER_HANDLERS_POLICIES_POLICIES_H

#include "common/op/op.h"

op_step rule_violations;
op_step cert_violations;

#endif
