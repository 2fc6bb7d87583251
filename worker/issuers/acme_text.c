#include "worker/issuers/acme_text.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "common/base/plain.h"
#include "common/json/json.h"

#define TEXT_MAX 2048
#define URN "urn:ietf:params:acme:error:"

const char *
acme_text(const struct cJSON *object, const char *name)
{
	const char *text = "";
	rc ret = json_str(object, name, TEXT_MAX, &text);

	return ret == RC_OK ? text : "";
}

const char *
acme_problem(const struct cJSON *problem)
{
	const char *type = acme_text(problem, "type");

	return strncmp(type, URN, strlen(URN)) == 0 ? type + strlen(URN) : type;
}

/* Of subproblems (section 6.7.1): whom each is about, and what it says. */
static const char *
parts_of(struct arena *a, const struct cJSON *problem)
{
	const struct cJSON *part = NULL;
	const char *text = "", *whom;

	cJSON_ArrayForEach(part, json_get(problem, "subproblems"))
	{
		whom = acme_text(json_get(part, "identifier"), "value");
		text = arena_printf(a, "%s; %s%s%s", text, whom,
		    whom[0] ? ": " : "", acme_text(part, "detail"));
		if (strlen(text) > ACME_WORDS_MAX)
			break;
	}
	return text;
}

const char *
acme_problem_words(struct arena *a, const struct cJSON *problem)
{
	const char *detail = acme_text(problem, "detail");
	const char *type = acme_problem(problem);
	char *words;

	if (detail[0] == '\0' && type[0] == '\0')
		return "";
	words = arena_printf(a, "\"%.*s%.*s\"%s%s%s", ACME_WORDS_MAX, detail,
	    ACME_WORDS_MAX, parts_of(a, problem), type[0] ? " (" : "", type,
	    type[0] ? ")" : "");
	plain_clean(words);
	return words;
}
