/*
 * rig_db: the rig's database: answers the worker's statements from the jobs
 * and the CA that the rig keeps, and changes these as the real one would.
 */
#ifndef TESTS_UNIT_WORKER_RIG_DB_H
#define TESTS_UNIT_WORKER_RIG_DB_H

#include "common/base/arena.h"
#include "tests/unit/worker/rig.h"

/* Lets both pools of *r answer; r must outlive them. */
void rig_db_install(struct rig *r);

/* The items of '{"a","b"}', quoted by db_text_array, in the arena; NULL is
 * SQL NULL.  How many. */
size_t rig_items(struct arena *a, const char *array, const char **out);

#endif
