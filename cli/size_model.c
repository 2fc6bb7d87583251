#include "cli/size_model.h"

const struct size_fact size_model[FACTS] = {
#define FACT(name, known, value, unit, what, certificates, agents, origin) \
	{#name, known, value, unit, what, certificates, agents, origin},
#include "cli/size_model.def"
#undef FACT
};
