#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

/* How much of an error text that is no JSON is shown. */
#define MESSAGE_MAX 2000

bool
client_is_passing(const struct answer *a)
{
	return a->status == 0 || a->status == 429 || a->status >= 500;
}

int
client_check_json(const struct cli *c, const struct answer *a)
{
	int exit_code = client_check(c, a);

	if (exit_code != EXIT_DONE || a->json)
		return exit_code;
	out_error("%s answered %d with something that is no JSON object: is it "
		  "a certctl server?",
	    c->server, a->status);
	return EXIT_FAILED;
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
	if (!data || (!cJSON_IsArray(data) && !cJSON_IsNull(data))) {
		out_error("the server's answer holds no list");
		return EXIT_FAILED;
	}
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

int
client_check(const struct cli *c, const struct answer *a)
{
	const char *message = NULL;

	if (a->status >= 200 && a->status < 300) {
		tell_warnings(c, a->json);
		return EXIT_DONE;
	}
	if (a->status == 0) {
		out_error("%s\nIs the server up (make status), and are "
			  "CERTCTL_SERVER_URL and "
			  "CERTCTL_SERVER_CA_BUNDLE_PATH right?",
		    a->error);
		return EXIT_UNREACHABLE;
	}
	if (!a->json ||
	    (json_str(a->json, "message", 8192, &message) != RC_OK &&
		json_str(a->json, "error", 8192, &message) != RC_OK))
		message = a->text;
	out_error("%.*s (%d)", MESSAGE_MAX,
	    message[0] ? out_harmless(c->arena, message) : "no reason is given",
	    a->status);
	if (a->status >= 300 && a->status < 400)
		out_tell("A redirect is not followed: give the server itself "
			 "as CERTCTL_SERVER_URL.");
	if (a->retry_after_s > 0)
		out_tell("Try again in %lld s.", (long long)a->retry_after_s);
	switch (a->status) {
	case 401:
		out_tell("Set CERTCTL_API_KEY to a valid key.");
		return EXIT_NOT_ALLOWED;
	case 403:
		return EXIT_NOT_ALLOWED;
	case 404:
		return EXIT_NOT_FOUND;
	case 409:
		return EXIT_CONFLICT;
	case 503:
		return EXIT_UNREACHABLE;
	default:
		return EXIT_FAILED;
	}
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
