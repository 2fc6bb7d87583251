#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/exit_code.h"
#include "cli/fix.h"
#include "cli/out.h"
#include "cli/talk.h"
#include "common/json/json.h"

/* How much of an error text that is no JSON is shown. */
#define MESSAGE_MAX 2000

bool
client_is_passing(const struct answer *a)
{
	return a->status == 0 || a->status == 429 || a->status >= 500;
}

/* --- somebody else's server --- */

/* The type alone, without what follows the semicolon, begins and ends so. */
static bool
is_type(const char *content_type, const char *begin, const char *end)
{
	size_t n = strcspn(content_type, "; \t"), nend = strlen(end);

	return n >= strlen(begin) && n >= nend &&
	       strncasecmp(content_type, begin, strlen(begin)) == 0 &&
	       strncasecmp(content_type + n - nend, end, nend) == 0;
}

static bool
is_json_type(const char *content_type)
{
	return is_type(content_type, "application/json", "json") ||
	       is_type(content_type, "application/", "+json");
}

/* A good answer that holds anything holds JSON and says so. */
static bool
is_foreign(const struct answer *a)
{
	if (a->text[0] == '\0')
		return false;
	return !a->json || (a->content_type && !is_json_type(a->content_type));
}

/* Some refusals of ours are plain text; a page never is ours. */
static bool
is_page(const struct answer *a)
{
	return !a->json && a->content_type &&
	       is_type(a->content_type, "text/html", "html");
}

static int
tell_foreign(const struct cli *c, const struct answer *a, const char *what)
{
	bool is_odd = a->content_type && !is_json_type(a->content_type);
	struct talk_failure f = {.request_id = a->request_id,
	    .status = a->status};

	f.why = arena_printf(c->arena,
	    "%s answered with %s%s%s: is it a certctl server?", c->server, what,
	    is_odd ? " of type " : "",
	    is_odd ? out_harmless(c->arena, a->content_type) : "");
	f.fix = "Give the certctl server's own URL as CERTCTL_SERVER_URL, by "
		"--server or in a context.";
	talk_failure(&f);
	/* Its words for "not found" are not ours. */
	return a->status < 500 ? EXIT_FAILED : exit_code_of_status(a->status);
}

int
client_check_json(const struct cli *c, const struct answer *a)
{
	int exit_code = client_check(c, a);

	if (exit_code != EXIT_DONE || cJSON_IsObject(a->json) ||
	    cJSON_IsArray(a->json))
		return exit_code;
	return tell_foreign(c, a, "something that is no JSON object");
}

int
client_check_object(const struct cli *c, const struct answer *a,
    const char *const *members, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (json_get(a->json, members[i]))
			return EXIT_DONE;
	}
	return tell_foreign(c, a, "an object of another shape");
}

static bool
is_list_of_objects(const struct cJSON *json)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, json)
	{
		if (!cJSON_IsObject(item))
			return false;
	}
	return cJSON_IsArray(json);
}

int
client_check_list(const struct cli *c, const struct answer *a, const char *rows,
    const struct cJSON **out_data)
{
	int exit_code = client_check_json(c, a);
	const struct cJSON *data;

	if (exit_code != EXIT_DONE)
		return exit_code;
	/* A few lists come without an envelope. */
	data = is_list_of_objects(a->json)
		   ? a->json
		   : json_get(a->json, rows ? rows : "data");
	/* null is how an empty list may come. */
	if (!data || (!cJSON_IsArray(data) && !cJSON_IsNull(data)))
		return tell_foreign(c, a, "something that holds no list");
	*out_data = data;
	return EXIT_DONE;
}

/* What was done and may not be what was meant (a member of any change). */
static void
tell_warnings(const struct cli *c, const struct cJSON *json)
{
	const struct cJSON *list, *item;

	if (!json)
		return;
	list = json_get(json, "warnings");
	cJSON_ArrayForEach(item, list) if (cJSON_IsString(item))
	    out_tell("warning: %s", out_harmless(c->arena, item->valuestring));
}

/* --- failures --- */

const char *
client_why(const struct cli *c, const struct answer *a)
{
	const char *message = NULL;

	if (a->status == 0)
		return a->error;
	if (!a->json ||
	    (json_str(a->json, "message", 8192, &message) != RC_OK &&
		json_str(a->json, "error", 8192, &message) != RC_OK))
		message = a->text;
	if (message[0] == '\0')
		return "no reason is given";
	return arena_printf(c->arena, "%.*s", MESSAGE_MAX,
	    out_harmless(c->arena, message));
}

static const char *
request_id_of(const struct cli *c, const struct answer *a)
{
	const char *id = a->request_id;

	if (!id && json_str(a->json, "request_id", 128, &id) != RC_OK)
		return NULL;
	return out_harmless(c->arena, id);
}

int
client_check_text(const struct cli *c, const struct answer *a)
{
	struct talk_failure f = {.status = a->status};

	if (a->status >= 200 && a->status < 300)
		return EXIT_DONE;
	if (is_page(a))
		return tell_foreign(c, a, "a page");
	f.why = client_why(c, a);
	f.fix = fix_of(c, a, f.why);
	f.request_id = request_id_of(c, a);
	talk_failure(&f);
	return exit_code_of_status(a->status);
}

int
client_check(const struct cli *c, const struct answer *a)
{
	int exit_code = client_check_text(c, a);

	if (exit_code == EXIT_DONE && is_foreign(a))
		return tell_foreign(c, a, "something that is no JSON object");
	if (exit_code == EXIT_DONE)
		tell_warnings(c, a->json);
	return exit_code;
}

const char *
client_escape(struct cli *c, const char *text)
{
	struct buf b;
	const char *out;

	buf_init(&b, 0);
	for (; *text; text++) {
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
			   "YZ0123456789-._~",
			*text))
			buf_putc(&b, *text);
		else
			buf_printf(&b, "%%%02X", (unsigned char)*text);
	}
	out = arena_strdup(c->arena, buf_cstr(&b));
	buf_fini(&b);
	return out;
}

const char *
client_path(struct cli *c, const char *list, const char *rest)
{
	return arena_printf(c->arena, "%s/%s%s", list,
	    client_escape(c, args_word(c, 0)), rest);
}
