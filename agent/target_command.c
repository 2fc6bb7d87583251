#include <string.h>

#include <cjson/cJSON.h>

#include "agent/target.h"
#include "common/json/json.h"

#define COMMAND_MAX 1024

static rc
split(struct arena *a, const char *text, const char **argv, const char *field,
    const char **out_why)
{
	char *copy = arena_strdup(a, text), *save = NULL, *word;
	size_t n = 0;

	if (strlen(text) > COMMAND_MAX ||
	    strpbrk(text, ";|&$(){}<>\\\"'`\n\r")) {
		*out_why = arena_printf(a,
		    "%s is run without a shell: at most "
		    "%d bytes and none of ; | & $ ( ) { } < > \\ quotes; give "
		    "a JSON array of arguments for anything else",
		    field, COMMAND_MAX);
		return RC_INVALID;
	}
	for (word = strtok_r(copy, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		if (n == TARGET_ARGS_MAX - 1) {
			*out_why = arena_printf(a, "%s has more than %d words",
			    field, TARGET_ARGS_MAX - 1);
			argv[0] = NULL;
			return RC_INVALID;
		}
		argv[n++] = word;
	}
	argv[n] = NULL;
	return n ? RC_OK : RC_NOT_FOUND;
}

rc
target_command(struct arena *a, const struct cJSON *config, const char *field,
    const char **argv, const char **out_why)
{
	const struct cJSON *value = json_get(config, field);
	const char **items;
	size_t n;
	rc ret;

	argv[0] = NULL;
	if (!value || cJSON_IsNull(value))
		return RC_NOT_FOUND;
	if (cJSON_IsString(value))
		return split(a, value->valuestring, argv, field, out_why);
	ret = json_str_list(a, config, field, TARGET_ARGS_MAX - 1, COMMAND_MAX,
	    &items, &n);
	if (ret != RC_OK || n == 0 || items[0][0] == '\0') {
		*out_why = arena_printf(a,
		    "%s is neither a string nor an "
		    "array of 1 to %d strings, the first of them a program",
		    field, TARGET_ARGS_MAX - 1);
		return RC_INVALID;
	}
	memcpy(argv, items, n * sizeof(*argv));
	argv[n] = NULL;
	return RC_OK;
}
