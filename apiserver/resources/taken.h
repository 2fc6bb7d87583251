/*
 * taken: the refusal of a target's file that belongs to another certificate.
 *
 * The database alone knows, by its constraint target_files_taken, in the very
 * moment of the write; who has the file is asked afterwards, for the words.
 */
#ifndef APISERVER_RESOURCES_TAKEN_H
#define APISERVER_RESOURCES_TAKEN_H

#include <stdbool.h>

#include "common/op/op.h"
#include "sql_gen.h"

/* In an op_catch step: whether that was the refusal. */
bool taken_is(const struct op *op);
/* 409 that names path, certificate and target, as the query tells them; its
 * parameters are the id (may be NULL) and the body. */
enum op_next taken_reply(struct op *op, enum query q, const char *id,
    const char *given);

#endif
