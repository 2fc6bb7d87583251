#include "scheduler/duties/duties.h"

#define HOUR_MS INT64_C(3600000)

#define RUN(query, n, how, ...) \
	.first = duty_statement, .q = query, .chunk = n, .repeat = how, \
	__VA_ARGS__
#define ONCE(query, ...) RUN(query, 0, DUTY_ONCE, __VA_ARGS__)
#define WHILE_FULL(query, ...) \
	RUN(query, DUTY_CHUNK, DUTY_WHILE_FULL, __VA_ARGS__)
#define WHILE_ANY(query, ...) \
	RUN(query, DUTY_CHUNK, DUTY_WHILE_ANY, __VA_ARGS__)
#define GENTLY(query, ...) \
	RUN(query, DUTY_GENTLE_CHUNK, DUTY_GENTLY, __VA_ARGS__)
#define STEPS(step, ...) .first = step, __VA_ARGS__
#define DUTY(title, env, dflt, min, max, bound_s, how, does) \
	{.name = #title, \
	    .interval = DUTY_INTERVAL_KEY(title), \
	    .timeout_ms = (int64_t)(bound_s)*1000, \
	    how},

const struct duty_def duty_table[] = {
#include "scheduler/duties.def"
};
const size_t duty_table_n = sizeof(duty_table) / sizeof(duty_table[0]);
