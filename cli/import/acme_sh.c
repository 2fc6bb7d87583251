/*
 * acme.sh: a directory a certificate, DOMAIN or DOMAIN_ecc, with DOMAIN.conf
 * of shell assignments in it (acme.sh's wiki; never run here).
 */
#include <stdlib.h>
#include <string.h>

#include "cli/import/files.h"
#include "cli/import/pairs.h"
#include "cli/import/words.h"
#include "common/base/text.h"

/* The domain of a directory's name. */
static const char *
domain_of(struct import *im, const char *dir)
{
	size_t n = strlen(dir);

	if (text_ends_with(dir, "_ecc"))
		n -= strlen("_ecc");
	return arena_strndup(im->arena, dir, n);
}

static const char *
conf_of(struct import *im, const char *path, const char *dir)
{
	return files_join(im, files_join(im, path, dir),
	    arena_printf(im->arena, "%s.conf", domain_of(im, dir)));
}

static bool
knows(struct import *im, const char *path)
{
	size_t n;
	const char *const *names = files_list(im, path, &n);

	for (size_t i = 0; i < n; i++) {
		if (files_is_file(conf_of(im, path, names[i])))
			return true;
	}
	return false;
}

/* Where it was installed to, or where acme.sh keeps it. */
static const char *
find_path(struct import *im, const struct pairs *p, const char *key,
    const char *home)
{
	const char *told = pairs_value(p, key);

	return told && told[0] == '/' && files_is_file(told) ? told : home;
}

static void
read_one(struct import *im, const char *path, const char *dir)
{
	const char *conf = conf_of(im, path, dir), *days;
	const char *home = files_join(im, path, dir);
	const char *domain = domain_of(im, dir);
	struct import_found *f;
	struct pairs p;

	if (!pairs_read_file(im, conf, &p))
		return;
	f = import_add(im, "acme.sh", dir, conf);
	if (!f)
		return;
	f->cert_path = find_path(im, &p, "Le_RealFullChainPath",
	    files_join(im, home, "fullchain.cer"));
	f->key_path = find_path(im, &p, "Le_RealKeyPath",
	    files_join(im, home, arena_printf(im->arena, "%s.key", domain)));
	f->ca = pairs_value(&p, "Le_API");
	days = pairs_value(&p, "Le_RenewalDays");
	if (days && strtol(days, NULL, 10) > 0)
		f->note = arena_printf(im->arena,
		    "acme.sh renews it %ld days after its issuance; here it is "
		    "so many days before its end",
		    strtol(days, NULL, 10));
	f->renewal = arena_printf(im->arena, "acme.sh --cron, by %s", conf);
	f->stop = arena_printf(im->arena, "acme.sh --remove -d %s%s",
	    words_shell(im->arena, domain),
	    text_ends_with(dir, "_ecc") ? " --ecc" : "");
	IGNORE_RESULT(files_certificate(im, f->cert_path, false, f));
}

static void
read_all(struct import *im, const char *path)
{
	size_t n;
	const char *const *names = files_list(im, path, &n);

	for (size_t i = 0; i < n; i++) {
		if (files_is_file(conf_of(im, path, names[i])))
			read_one(im, path, names[i]);
	}
}

const struct import_reader import_acme_sh = {"acme.sh", knows, read_all};
