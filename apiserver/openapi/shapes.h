/*
 * shapes: the rows of shapes.def, joined: which step has which shape.
 */
#ifndef APISERVER_OPENAPI_SHAPES_H
#define APISERVER_OPENAPI_SHAPES_H

#include <stddef.h>

#include "apiserver/resources/shape.h"

extern const struct shape_row shapes[];
extern const size_t shapes_n;

/* Of the routes that start with this step; NULL: nobody described them. */
const struct shape *shapes_of(op_step *start);

#endif
