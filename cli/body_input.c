#include "cli/body_input.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "cli/yaml_read.h"
#include "common/base/file.h"
#include "common/json/json.h"

#define WHOLE_END 4503599627370496.0 /* 2^52 */
static const char inexact[] =
    "a number is too large to be kept exactly: make it a text";

static void
delete_json(void *arg)
{
	cJSON_Delete(arg);
}

static int
bad_file(const char *name, const char *why)
{
	out_error("%s: %s", name, why);
	return EXIT_FAILED;
}

static int
read_text(struct cli *c, const char *file, char **out, size_t *out_len)
{
	bool is_stdin = strcmp(file, "-") == 0;
	rc ret;

	if (!is_stdin) {
		ret = file_read(c->arena, file, BODY_BYTES_MAX, out, out_len);
	} else {
		if (isatty(STDIN_FILENO))
			out_tell("Reading from the terminal; end it with "
				 "Ctrl-D.");
		*out = arena_alloc(c->arena, BODY_BYTES_MAX + 1);
		ret = file_read_fd(STDIN_FILENO, *out, BODY_BYTES_MAX, out_len);
	}
	if (ret == RC_TOO_LARGE)
		return bad_file(file,
		    arena_printf(c->arena, "it is larger than %d KiB",
			BODY_BYTES_MAX / 1024));
	if (ret != RC_OK && errno == EINVAL)
		return bad_file(file, "it is no regular file; -f - reads "
				      "standard input");
	if (ret != RC_OK)
		return bad_file(file, strerror(errno));
	(*out)[*out_len] = '\0';
	return EXIT_DONE;
}

/* Past this cJSON writes other digits than it read. */
static bool
is_exact(const struct cJSON *json)
{
	const struct cJSON *item;

	if (cJSON_IsNumber(json) && fabs(json->valuedouble) >= WHOLE_END &&
	    fabs(json->valuedouble) <= 2 * WHOLE_END)
		return false;
	cJSON_ArrayForEach(item, json)
	{
		if (!is_exact(item))
			return false;
	}
	return true;
}

rc
body_input_json(struct cli *c, const char *text, size_t len, struct cJSON **out,
    const char **out_why)
{
	const struct cJSON *json = NULL;
	struct cJSON *own;
	rc ret = json_parse(c->arena, text, len, &json, out_why);

	if (ret != RC_OK)
		return ret;
	*out_why = inexact;
	if (!is_exact(json))
		return RC_INVALID;
	*out_why = "there is no memory for it";
	own = cJSON_Duplicate(json, true);
	if (!own)
		return RC_INTERNAL;
	arena_defer(c->arena, delete_json, own);
	*out = own;
	return RC_OK;
}

static rc
parse(struct cli *c, const char *text, size_t len, struct cJSON **out,
    const char **out_why)
{
	rc ret;

	if (text[strspn(text, " \t\r\n")] == '{')
		return body_input_json(c, text, len, out, out_why);
	ret = yaml_read(c->arena, text, len, out, out_why);
	if (ret != RC_OK || is_exact(*out))
		return ret;
	*out_why = inexact;
	return RC_INVALID;
}

int
body_input(struct cli *c, const char *file, struct cJSON **out)
{
	const char *name = strcmp(file, "-") == 0 ? "standard input" : file;
	const char *why = "";
	char *text = NULL;
	size_t len = 0;
	int exit_code;
	rc ret;

	errno = 0;
	exit_code = read_text(c, file, &text, &len);
	if (exit_code != EXIT_DONE)
		return exit_code;
	ret = parse(c, text, len, out, &why);
	if (ret != RC_OK)
		return bad_file(name, why);
	if (!cJSON_IsObject(*out))
		return bad_file(name, "it holds no object (KEY: VALUE)");
	return EXIT_DONE;
}
