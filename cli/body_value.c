#include "cli/body_value.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/body_input.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/base/file.h"

struct cJSON *
body_value_json(struct cli *c, const char *text, const char **out_why)
{
	struct cJSON *json = NULL;
	rc ret = body_input_json(c, text, strlen(text), &json, out_why);

	return ret == RC_OK ? cJSON_Duplicate(json, true) : NULL;
}

/* --- as an option says --- */

static bool
is_boolean(const struct option *o)
{
	return strncmp(o->takes, "true|false", 10) == 0;
}

static bool
is_number(const struct option *o)
{
	return strstr(o->takes, "..") != NULL;
}

static struct cJSON *
list_of(const char *text, bool are_numbers)
{
	struct cJSON *list = cJSON_CreateArray();
	char *copy = strdup(text), *save = NULL;

	for (char *w = strtok_r(copy, ",", &save); w;
	     w = strtok_r(NULL, ",", &save))
		cJSON_AddItemToArray(list,
		    are_numbers ? cJSON_CreateRaw(w) : cJSON_CreateString(w));
	free(copy);
	return list;
}

static struct cJSON *
tags_of(struct cli *c, const char *flag, const char *text)
{
	struct cJSON *tags = cJSON_CreateObject();
	char *copy = arena_strdup(c->arena, text), *save = NULL, *value;

	for (char *w = strtok_r(copy, ",", &save); w;
	     w = strtok_r(NULL, ",", &save)) {
		value = strchr(w, '=');
		if (!value) {
			out_error("%s takes KEY=VALUE,KEY=VALUE, not \"%s\"",
			    flag, w);
			cJSON_Delete(tags);
			return NULL;
		}
		*value++ = '\0';
		cJSON_AddStringToObject(tags, w, value);
	}
	return tags;
}

/* One newline at its end is no part of a token, as with the daemons' _FILE. */
static struct cJSON *
file_of(struct cli *c, const char *flag, const char *path)
{
	char *text;
	rc ret = file_read(c->arena, path, BODY_BYTES_MAX, &text, NULL);

	if (ret == RC_OK) {
		size_t n = strlen(text);

		if (n > 0 && text[n - 1] == '\n')
			text[n - 1] = '\0';
		return cJSON_CreateString(text);
	}
	out_error("%s: %s can't be read: %s", flag, path,
	    ret == RC_TOO_LARGE ? "it is too large" : strerror(errno));
	return NULL;
}

static bool
is_whole_list(const char *text)
{
	return text[strspn(text, "0123456789,")] == '\0';
}

struct cJSON *
body_value_given(struct cli *c, const struct option *o, const char *text)
{
	struct cJSON *json;
	const char *why = "";

	if (!o->takes)
		return cJSON_CreateRaw(o->sends ? o->sends : "true");
	if (o->null && strcmp(text, o->null) == 0)
		return cJSON_CreateNull();
	switch (o->form) {
	case OPTION_TEXTS:
		return list_of(text, false);
	case OPTION_INTS:
		if (is_whole_list(text))
			return list_of(text, true);
		out_error("%s takes whole numbers, as in 1,2, not \"%s\"",
		    o->flag, text);
		return NULL;
	case OPTION_TAGS:
		return tags_of(c, o->flag, text);
	case OPTION_FILE:
		return file_of(c, o->flag, text);
	case OPTION_JSON:
		json = body_value_json(c, text, &why);
		if (!json)
			out_error("%s takes JSON: %s", o->flag, why);
		return json;
	case OPTION_PLAIN:
	case OPTION_OWN:
	default:
		break;
	}
	if (is_boolean(o))
		return cJSON_CreateBool(strcmp(text, "true") == 0);
	if (is_number(o))
		return cJSON_CreateRaw(text);
	return cJSON_CreateString(text);
}

/* --- of --set --- */

/* Whether JSON writes the number as it stands there. */
static bool
is_written_so(const struct cJSON *number, const char *text)
{
	char *again = cJSON_PrintUnformatted(number);
	bool is_same = strcmp(again, text) == 0;

	cJSON_free(again);
	return is_same;
}

/* Whether it is that JSON, of the member that the option sets. */
static bool
is_meant(const struct option *o, const struct cJSON *json, const char *text)
{
	if (!o)
		return !cJSON_IsNumber(json) || is_written_so(json, text);
	if (cJSON_IsNull(json) || o->form == OPTION_JSON)
		return true;
	if (o->form != OPTION_PLAIN) /* 1 and true are words of a list, too */
		return !cJSON_IsNumber(json) && !cJSON_IsBool(json);
	if (is_boolean(o))
		return cJSON_IsBool(json);
	return is_number(o) ? cJSON_IsNumber(json) : cJSON_IsString(json);
}

struct cJSON *
body_value_set(struct cli *c, const struct option *o, const char *text)
{
	const char *why;
	struct cJSON *json = body_value_json(c, text, &why);

	if (json && is_meant(o, json, text))
		return json;
	cJSON_Delete(json);
	if (!o)
		return cJSON_CreateString(text);
	if (o->form == OPTION_PLAIN)
		return o->null && strcmp(text, o->null) == 0
			   ? cJSON_CreateNull()
			   : cJSON_CreateString(text);
	return body_value_given(c, o, text);
}
