/*
 * rig_db: the rig's database: answers the worker's statements from the jobs
 * and the CA that the rig keeps, and changes these as the real one would.
 */
#ifndef TESTS_UNIT_WORKER_RIG_DB_H
#define TESTS_UNIT_WORKER_RIG_DB_H

#include "tests/unit/worker/rig.h"

/* Lets both pools of *r answer; r must outlive them. */
void rig_db_install(struct rig *r);

#endif
