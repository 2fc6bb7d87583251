/*
 * lego: certificates/NAME.crt with the chain, NAME.key, and NAME.json that
 * says where it was issued (lego's documentation, "Obtain a certificate").
 */
#include <string.h>

#include "cli/import/files.h"
#include "common/base/text.h"
#include "common/json/json.h"

/* dir/NAME.end of a NAME.json. */
static const char *
beside(struct import *im, const char *dir, const char *json, const char *end)
{
	return files_join(im, dir,
	    arena_printf(im->arena, "%.*s%s",
		(int)(strlen(json) - strlen(".json")), json, end));
}

static bool
is_one(struct import *im, const char *dir, const char *name)
{
	return text_ends_with(name, ".json") &&
	       files_is_file(beside(im, dir, name, ".crt"));
}

static bool
knows(struct import *im, const char *path)
{
	const char *dir = files_below(im, path, "certificates");
	size_t n;
	const char *const *names = files_list(im, dir, &n);

	for (size_t i = 0; i < n; i++) {
		if (is_one(im, dir, names[i]))
			return true;
	}
	return false;
}

static void
read_one(struct import *im, const char *dir, const char *name)
{
	const char *path = files_join(im, dir, name), *text, *url, *why;
	const struct cJSON *json;
	struct import_found *f;
	size_t len;
	rc ret;

	text = files_read(im, path, IMPORT_FILE_MAX, &len);
	if (!text)
		return;
	f = import_add(im, "lego",
	    arena_strndup(im->arena, name, strlen(name) - strlen(".json")),
	    path);
	if (!f)
		return;
	ret = json_parse(im->arena, text, len, &json, &why);
	if (ret != RC_OK)
		import_note(im, path, why);
	else if (json_str(json, "certUrl", 2048, &url) == RC_OK)
		f->ca = url;
	f->cert_path = beside(im, dir, name, ".crt");
	f->key_path = beside(im, dir, name, ".key");
	f->renewal = "lego renew, by whatever runs it";
	f->stop = "take away the cron job or timer that runs lego";
	IGNORE_RESULT(files_certificate(im, f->cert_path, false, f));
}

static void
read_all(struct import *im, const char *path)
{
	const char *dir = files_below(im, path, "certificates");
	size_t n;
	const char *const *names = files_list(im, dir, &n);

	for (size_t i = 0; i < n; i++) {
		if (is_one(im, dir, names[i]))
			read_one(im, dir, names[i]);
	}
}

const struct import_reader import_lego = {"lego", knows, read_all};
