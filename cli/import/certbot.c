/*
 * certbot: a line of certificates is renewal/NAME.conf, which names the links
 * of live/NAME/ (certbot's documentation, "Where are my certificates").
 */
#include <stdlib.h>
#include <string.h>

#include "cli/import/files.h"
#include "cli/import/pairs.h"
#include "cli/import/words.h"
#include "common/base/text.h"

static bool
knows(struct import *im, const char *path)
{
	return files_is_dir(files_join(im, path, "renewal")) &&
	       files_is_dir(files_join(im, path, "live"));
}

/* The path that the file names, or where it is in a copy of the directory. */
static const char *
find_path(struct import *im, const struct pairs *p, const char *key,
    const char *dir, const char *file)
{
	const char *told = pairs_value(p, key);
	const char *here = files_join(im, dir, file);

	if (told && told[0] == '/' &&
	    (files_is_file(told) || !files_is_file(here)))
		return told;
	return here;
}

/* "30 days" */
static int64_t
read_days(const char *text)
{
	char *end = NULL;
	long days = text ? strtol(text, &end, 10) : 0;

	while (end && *end == ' ')
		end++;
	return end && strncmp(end, "day", 3) == 0 && days > 0 && days <= 365
		   ? days
		   : 0;
}

static void
read_line(struct import *im, const char *path, const char *conf,
    const char *name)
{
	const char *live = files_join(im, files_join(im, path, "live"), name);
	struct import_found *f;
	struct pairs p;

	if (!pairs_read_file(im, conf, &p))
		return;
	f = import_add(im, "certbot", name, conf);
	if (!f)
		return;
	f->cert_path = find_path(im, &p, "fullchain", live, "fullchain.pem");
	f->key_path = find_path(im, &p, "privkey", live, "privkey.pem");
	f->ca = pairs_value(&p, "server");
	f->window_days = read_days(pairs_value(&p, "renew_before_expiry"));
	f->renewal = arena_printf(im->arena, "certbot renew, by %s", conf);
	f->stop = arena_printf(im->arena, "mv %s %s",
	    words_shell(im->arena, conf),
	    words_shell(im->arena, arena_printf(im->arena, "%s.off", conf)));
	IGNORE_RESULT(files_certificate(im, f->cert_path, false, f));
}

static void
read_all(struct import *im, const char *path)
{
	const char *dir = files_join(im, path, "renewal");
	size_t n;
	const char *const *names = files_list(im, dir, &n);

	for (size_t i = 0; i < n; i++) {
		if (text_ends_with(names[i], ".conf"))
			read_line(im, path, files_join(im, dir, names[i]),
			    arena_strndup(im->arena, names[i],
				strlen(names[i]) - strlen(".conf")));
	}
}

const struct import_reader import_certbot = {"certbot", knows, read_all};
