/*
 * Caddy: certificates/CA/NAME/NAME.crt, .key and .json below its directory of
 * data (Caddy's documentation, "Conventions"; CertMagic's file storage).
 */
#include <cjson/cJSON.h>

#include "cli/import/files.h"
#include "common/json/json.h"

/* dir/CA/NAME/NAME.end */
static const char *
file_of(struct import *im, const char *dir, const char *ca, const char *name,
    const char *end)
{
	return files_join(im, files_join(im, files_join(im, dir, ca), name),
	    arena_printf(im->arena, "%s%s", name, end));
}

static void
read_one(struct import *im, const char *dir, const char *ca, const char *name)
{
	const char *path = file_of(im, dir, ca, name, ".json"), *text, *why;
	const struct cJSON *json = NULL;
	struct import_found *f;
	size_t len;
	rc ret;

	text = files_read(im, path, IMPORT_FILE_MAX, &len);
	f = import_add(im, "caddy", name, text ? path : dir);
	if (!f)
		return;
	f->ca = ca;
	ret =
	    text ? json_parse(im->arena, text, len, &json, &why) : RC_NOT_FOUND;
	if (ret == RC_INVALID)
		import_note(im, path, why);
	else if (ret == RC_OK)
		IGNORE_RESULT(json_str(json_get(json, "issuer_data"), "ca",
		    2048, &f->ca)); /* else the directory's name */
	f->cert_path = file_of(im, dir, ca, name, ".crt");
	f->key_path = file_of(im, dir, ca, name, ".key");
	f->renewal = "Caddy itself, while a site of its names is served";
	f->stop = "give the site \"tls CERTIFICATE KEY\" in the Caddyfile, "
		  "with files of its own, and reload Caddy";
	f->note =
	    "no target reaches Caddy, which serves it from its own directory";
	IGNORE_RESULT(files_certificate(im, f->cert_path, false, f));
}

/* Calls read_one for each, or only says whether there is any. */
static bool
walk(struct import *im, const char *path, bool is_read)
{
	const char *dir = files_below(im, path, "certificates");
	const char *const *cas, *const *names;
	size_t ncas, n;
	bool has_any = false;

	cas = files_list(im, dir, &ncas);
	for (size_t i = 0; i < ncas; i++) {
		names = files_list(im, files_join(im, dir, cas[i]), &n);
		for (size_t k = 0; k < n; k++) {
			if (!files_is_file(
				file_of(im, dir, cas[i], names[k], ".crt")))
				continue;
			has_any = true;
			if (!is_read)
				return true;
			read_one(im, dir, cas[i], names[k]);
		}
	}
	return has_any;
}

static bool
knows(struct import *im, const char *path)
{
	return walk(im, path, false);
}

static void
read_all(struct import *im, const char *path)
{
	IGNORE_RESULT(walk(im, path, true)); /* known to have some */
}

const struct import_reader import_caddy = {"caddy", knows, read_all};
