/*
 * files: directories and files of strangers, in bounds.
 *
 * Whatever can't be read becomes a note of the import.
 */
#ifndef CLI_IMPORT_FILES_H
#define CLI_IMPORT_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/import/import.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

bool files_is_dir(const char *path);
bool files_is_file(const char *path);
/* "dir/name" */
const char *files_join(struct import *im, const char *dir, const char *name);
/* The same where it is a directory, else dir. */
const char *files_below(struct import *im, const char *dir, const char *name);
/* The last part of a path. */
const char *files_base(const char *path);
/* The names in a directory but "." and "..", sorted; n is 0 where it is none.
 * All names of a run are counted: IMPORT_NAMES_MAX. */
const char *const *files_list(struct import *im, const char *dir,
    size_t *out_n);
/* What the file holds, NUL-terminated.  NULL: it can't be read, which is a
 * note unless it is not there. */
char *files_read(struct import *im, const char *path, size_t max,
    size_t *out_len);
/*
 * The first certificate of the file, PEM, that is no CA's, or the first, goes
 * into f: its names, issuer, times, key.  Other blocks are passed over, and
 * where one is a private key what was read is wiped.  false: there is none,
 * which is a note, or with quietly only false; then a CA's is passed over too,
 * and f->note says why.
 */
bool files_certificate(struct import *im, const char *path, bool quietly,
    struct import_found *f);
/* The same of a text; path is for the note. */
bool files_certificate_text(struct import *im, const char *path, char *text,
    size_t len, bool quietly, struct import_found *f);
/* SHA-256 of that certificate; "" where there is none. */
const char *files_fingerprint(struct import *im, const char *path);

#endif
