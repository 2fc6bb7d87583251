#include "common/policy/policy_sql.h"

#include <ctype.h>
#include <stddef.h>

struct constant {
	const char *name, *type, *value;
};

/* A day has 24 hours, whatever the time zone.  Nothing here is found by a
 * search_path, which for a condition of a trigger is anybody's. */
#define SECONDS(name, value, what) \
	{#name, "interval", "interval '" #value " seconds'"},
#define MINUTES(name, value, what) \
	{#name, "interval", "interval '" #value " minutes'"},
#define HOURS(name, value, what) \
	{#name, "interval", "interval '" #value " hours'"},
#define DAYS(name, value, what) \
	{#name, "interval", "24 * interval '" #value " hours'"},
#define NUMBER(name, value, what) {#name, "int", #value},
#define PERCENT(name, value, what) {#name, "float8", #value " / 100.0::float8"},
#define TIERS(name, value, what) {#name, "jsonb", "'" value "'::jsonb"},
static const struct constant constants[] = {
#include "common/policy/policy.def"
};

static void
print_one(FILE *out, const struct constant *c)
{
	(void)fprintf(out, "CREATE FUNCTION policy_");
	for (const char *p = c->name; *p; p++)
		(void)fputc(tolower((unsigned char)*p), out);
	(void)fprintf(out,
	    "() RETURNS %s LANGUAGE sql IMMUTABLE AS $$ SELECT %s $$;\n",
	    c->type, c->value);
}

void
policy_sql(FILE *out)
{
	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
		print_one(out, &constants[i]);
}
