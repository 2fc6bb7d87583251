/*
 * size_model: what was measured of the cost of one certificate, one agent,
 * one renewal, by the artifacts of load tests (size_model.def, which
 * scripts/scale-baseline/extract.sh makes).
 */
#ifndef CLI_SIZE_MODEL_H
#define CLI_SIZE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum size_fact_id {
#define FACT(name, known, value, unit, what, certificates, agents, origin) \
	FACT_##name,
#include "cli/size_model.def"
#undef FACT
	FACTS
};

struct size_fact {
	const char *name;
	bool is_known;
	double value; /* in unit */
	const char *unit;
	const char *what;
	int64_t certificates, agents; /* measured with; 0: none took part */
	const char *origin; /* where the figure stands, or why there is none */
};
extern const struct size_fact size_model[FACTS];

#endif
