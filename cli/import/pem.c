/*
 * pem: certificates in files of their own, whoever put them there.
 *
 * Files that are named like private keys are not opened; CAs are passed over
 * where a directory was named, which is told.
 */
#include <string.h>

#include "cli/import/files.h"
#include "common/base/text.h"

enum { DEPTH_MAX = 4 };

static bool
knows(struct import *im, const char *path)
{
	return files_is_dir(path) || files_is_file(path);
}

static bool
is_wanted(const char *name)
{
	static const char *const ends[] = {".pem", ".crt", ".cer", ".cert"};

	if (strncmp(name, "privkey", strlen("privkey")) == 0 ||
	    strstr(name, ".key") || strstr(name, "-key.") ||
	    strstr(name, "_key."))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (text_ends_with(name, ends[i]))
			return true;
	}
	return false;
}

/* cert.pem has privkey.pem, x.crt has x.key; NULL when neither is there. */
static const char *
find_key(struct import *im, const char *path)
{
	const char *base = files_base(path), *dot = strrchr(base, '.');
	const char *const names[] = {"privkey.pem", "key.pem",
	    arena_printf(im->arena, "%.*s.key",
		(int)(dot ? dot - base : (ptrdiff_t)strlen(base)), base),
	    arena_printf(im->arena, "%.*s-key.pem",
		(int)(dot ? dot - base : (ptrdiff_t)strlen(base)), base)};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *key = arena_printf(im->arena, "%.*s%s",
		    (int)(base - path), path, names[i]);

		if (files_is_file(key))
			return key;
	}
	return NULL;
}

static void
read_file(struct import *im, const char *path, bool quietly)
{
	struct import_found one = {.names = NULL}, *f;

	if (!files_certificate(im, path, quietly, &one)) {
		if (one.note)
			import_pass_over(im, path, one.note);
		return;
	}
	f = import_add(im, "pem",
	    one.nnames > 0 ? one.names[0] : files_base(path), path);
	if (!f)
		return;
	f->cert_path = path;
	f->key_path = find_key(im, path);
	f->names = one.names;
	f->nnames = one.nnames;
	f->issuer_dn = one.issuer_dn;
	f->not_before = one.not_before;
	f->not_after = one.not_after;
	f->key = one.key;
	f->fingerprint_sha256 = one.fingerprint_sha256;
	f->serial_number = one.serial_number;
	f->pem = one.pem;
}

static void
read_dir(struct import *im, const char *path, int depth)
{
	size_t n;
	const char *const *names = files_list(im, path, &n);

	for (size_t i = 0; i < n; i++) {
		const char *one = files_join(im, path, names[i]);

		if (files_is_dir(one)) {
			if (depth < DEPTH_MAX)
				read_dir(im, one, depth + 1);
			else
				import_note(im, one, "passed over: too deep");
		} else if (is_wanted(names[i])) {
			read_file(im, one, true);
		}
	}
}

static void
read_all(struct import *im, const char *path)
{
	if (files_is_dir(path))
		read_dir(im, path, 1);
	else
		read_file(im, path, false);
}

const struct import_reader import_pem = {"pem", knows, read_all};
