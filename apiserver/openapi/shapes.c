#include "apiserver/openapi/shapes.h"

#define SHAPE(step) \
	extern op_step step; \
	extern const struct shape shape_##step;
#include "apiserver/shapes.def"
#undef SHAPE

const struct shape_row shapes[] = {
#define SHAPE(step) {#step, step, &shape_##step},
#include "apiserver/shapes.def"
#undef SHAPE
};
const size_t shapes_n = ARRAY_LEN(shapes);

const struct shape *
shapes_of(op_step *start)
{
	for (size_t i = 0; i < shapes_n; i++) {
		if (shapes[i].start == start)
			return shapes[i].shape;
	}
	return NULL;
}
