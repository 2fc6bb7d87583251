#include "cli/import/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/discovered.h"

/* Certificates of one file that are looked at. */
#define CERTS_MAX 100

bool
files_is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool
files_is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

const char *
files_join(struct import *im, const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return arena_printf(im->arena, "%s%s%s", dir,
	    n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

const char *
files_below(struct import *im, const char *dir, const char *name)
{
	const char *below = files_join(im, dir, name);

	return files_is_dir(below) ? below : dir;
}

const char *
files_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char **
read_names(struct import *im, const char *dir, DIR *d, size_t *out_n)
{
	const char **names = NULL;
	struct dirent *e;
	size_t n = 0;

	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (im->nnames == IMPORT_NAMES_MAX) {
			import_note(im, dir,
			    "not read to its end: more files than one run "
			    "takes");
			break;
		}
		im->nnames++;
		names = mem_realloc(names, n + 1, sizeof(*names));
		names[n++] = arena_strdup(im->arena, e->d_name);
	}
	*out_n = n;
	return names;
}

const char *const *
files_list(struct import *im, const char *dir, size_t *out_n)
{
	const char **names;
	DIR *d = opendir(dir);

	*out_n = 0;
	if (!d) {
		if (errno != ENOENT && errno != ENOTDIR)
			import_note(im, dir, strerror(errno));
		return NULL;
	}
	names = read_names(im, dir, d, out_n);
	(void)closedir(d); /* it was only read */
	if (!names)
		return NULL;
	arena_defer(im->arena, free, names);
	qsort(names, *out_n, sizeof(*names), text_compare);
	return names;
}

char *
files_read(struct import *im, const char *path, size_t max, size_t *out_len)
{
	char *text;
	rc ret;

	ret = file_read(im->arena, path, max, &text, out_len);
	if (ret == RC_OK)
		return text;
	if (ret == RC_TOO_LARGE)
		import_note(im, path,
		    arena_printf(im->arena, "passed over: more than %zu bytes",
			max));
	else if (ret != RC_NOT_FOUND)
		import_note(im, path, strerror(errno));
	return NULL;
}

static void
take(struct import *im, const struct discovered *d, struct import_found *f)
{
	f->names = d->sans;
	f->nnames = d->nsans;
	if (d->nsans == 0 && d->common_name[0]) {
		const char **one = arena_alloc(im->arena, sizeof(*one));

		one[0] = d->common_name;
		f->names = one;
		f->nnames = 1;
	}
	f->issuer_dn = d->issuer_dn;
	f->not_before = d->not_before;
	f->not_after = d->not_after;
	f->key = d->key_size ? arena_printf(im->arena, "%s %d",
				   d->key_algorithm, d->key_size)
			     : d->key_algorithm;
	f->fingerprint_sha256 = arena_strdup(im->arena, d->fingerprint_sha256);
	f->serial_number = d->serial_number;
	f->pem = d->pem;
}

/* Why a CA's is passed over where nobody named its file. */
static const char *
ca_words(const struct discovered *d)
{
	return strcmp(d->subject_dn, d->issuer_dn) == 0
		   ? "self-signed, and a CA's (CA:TRUE)"
		   : "a CA's (CA:TRUE)";
}

/* The first that is no CA's, or the first; false: none. */
static bool
find_leaf(struct import *im, const char *text, size_t len,
    struct discovered *out)
{
	struct span der, rest = {(const uint8_t *)text, len};
	bool has_any = false;
	struct discovered d;
	rc ret;

	for (size_t i = 0; i < CERTS_MAX; i++) {
		ret = pem_read(im->arena, "CERTIFICATE", (const char *)rest.p,
		    rest.len, &der, &rest);
		if (ret != RC_OK)
			break;
		ret = discovered_read(im->arena, der, &d);
		if (ret != RC_OK)
			continue;
		if (!has_any || !d.is_ca)
			*out = d;
		has_any = true;
		if (!d.is_ca)
			break;
	}
	return has_any;
}

bool
files_certificate_text(struct import *im, const char *path, char *text,
    size_t len, bool quietly, struct import_found *f)
{
	static const char key[] = "PRIVATE KEY-----";
	struct discovered d;
	bool is_found = find_leaf(im, text, len, &d);

	if (memmem(text, len, key, strlen(key)))
		OPENSSL_cleanse(text, len);
	if (is_found && d.is_ca && quietly) {
		f->note = ca_words(&d);
		return false;
	}
	if (is_found)
		take(im, &d, f);
	else if (!quietly)
		import_note(im, path, "holds no certificate that can be read");
	return is_found;
}

bool
files_certificate(struct import *im, const char *path, bool quietly,
    struct import_found *f)
{
	size_t len;
	char *text = files_read(im, path, IMPORT_FILE_MAX, &len);

	if (text)
		return files_certificate_text(im, path, text, len, quietly, f);
	if (!quietly && !files_is_file(path))
		import_note(im, path, "is not there");
	return false;
}

const char *
files_fingerprint(struct import *im, const char *path)
{
	struct import_found f = {.fingerprint_sha256 = ""};

	return files_certificate(im, path, true, &f) ? f.fingerprint_sha256
						     : "";
}
