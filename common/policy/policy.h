/*
 * policy: the times and counts by which the engine works, for C.
 *
 * policy.def is where each stands, and says what it is; SQL has them as
 * policy_<name>() (policy_sql.h).  Times are in seconds.
 */
#ifndef COMMON_POLICY_POLICY_H
#define COMMON_POLICY_POLICY_H

#define SECONDS(name, value, what) POLICY_##name = (value),
#define MINUTES(name, value, what) POLICY_##name = (value)*60,
#define HOURS(name, value, what) POLICY_##name = (value)*3600,
#define DAYS(name, value, what) POLICY_##name = (value)*86400,
#define NUMBER(name, value, what) POLICY_##name = (value),
#define PERCENT(name, value, what) POLICY_##name = (value),
#define TIERS(name, value, what)
enum policy {
#include "common/policy/policy.def"
};
#undef SECONDS
#undef MINUTES
#undef HOURS
#undef DAYS
#undef NUMBER
#undef PERCENT
#undef TIERS

#endif
