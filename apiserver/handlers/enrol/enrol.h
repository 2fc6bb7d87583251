/*
 * enrol: the administration of EST (RFC 7030) and SCEP (RFC 8894).
 *
 * Neither is served, and no setting makes a profile of either: the lists are
 * empty because there are none, and whoever names one is told so.
 */
#ifndef APISERVER_HANDLERS_ENROL_ENROL_H
#define APISERVER_HANDLERS_ENROL_ENROL_H

#include "common/op/op.h"

op_step scep_profiles;
op_step scep_intune_stats;
op_step scep_intune_reload;
op_step est_profiles;
op_step est_reload;

#endif
