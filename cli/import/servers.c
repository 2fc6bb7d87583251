#include "cli/import/servers.h"

#include <string.h>

#include "cli/import/confs.h"
#include "cli/import/files.h"
#include "common/base/text.h"

enum { DEPTH_MAX = 4 };

static const struct server {
	const char *dir; /* below etc */
	confs_reader *read;
} servers[] = {
    {"nginx", confs_nginx},
    {"apache2", confs_apache},
    {"httpd", confs_apache},
    {"haproxy", confs_haproxy},
};

static void
keep(void *arg, const struct import_use *use)
{
	import_add_use(arg, use);
}

/* What is there but not in use is passed over, and what is no text. */
static bool
is_wanted(const char *name)
{
	static const char *const not [] = {"sites-available", "conf-available",
	    "mods-available", "modules-available", "modules-enabled",
	    "mods-enabled", "errors"};

	if (name[0] == '.' || text_ends_with(name, "~") ||
	    text_ends_with(name, ".pem") || text_ends_with(name, ".key") ||
	    text_ends_with(name, ".crt"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(not ); i++) {
		if (strcmp(name, not [i]) == 0)
			return false;
	}
	return true;
}

static void
read_dir(struct import *im, const struct server *s, const char *home,
    const char *dir, int depth)
{
	size_t n, len;
	const char *const *names = files_list(im, dir, &n);

	for (size_t i = 0; i < n; i++) {
		const char *path = files_join(im, dir, names[i]);
		char *text;

		if (!is_wanted(names[i]))
			continue;
		if (files_is_dir(path)) {
			if (depth < DEPTH_MAX)
				read_dir(im, s, home, path, depth + 1);
			continue;
		}
		text = files_read(im, path, IMPORT_FILE_MAX, &len);
		if (text)
			s->read(im->arena, path, home, text, len, keep, im);
	}
}

/* The certificate that the use's file holds, or is named by; NULL: none of
 * those that were found. */
static struct import_found *
find_certificate(struct import *im, const struct import_use *use)
{
	const char *fingerprint = files_fingerprint(im, use->cert_path);

	for (struct import_found *f = im->found; f; f = f->next) {
		if (fingerprint[0] &&
		    strcmp(f->fingerprint_sha256, fingerprint) == 0)
			return f;
	}
	for (struct import_found *f = im->found; f; f = f->next) {
		if (f->cert_path && strcmp(f->cert_path, use->cert_path) == 0)
			return f;
	}
	return NULL;
}

static void
give_out(struct import *im)
{
	struct import_use *u = im->uses, *next;

	for (im->uses = NULL; u; u = next) {
		struct import_found *f = find_certificate(im, u);
		struct import_use **end = f ? &f->uses : &im->uses;

		next = u->next;
		u->next = NULL;
		while (*end)
			end = &(*end)->next;
		*end = u;
	}
}

void
servers_find(struct import *im, const char *etc)
{
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		const char *home = files_join(im, etc, servers[i].dir);

		if (files_is_dir(home))
			read_dir(im, &servers[i], home, home, 1);
	}
	give_out(im);
}
