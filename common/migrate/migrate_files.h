/*
 * migrate_files: the migration directory: which files there are, and their
 * text.
 */
#ifndef COMMON_MIGRATE_MIGRATE_FILES_H
#define COMMON_MIGRATE_MIGRATE_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

struct migrate_names {
	size_t n;
	char **items; /* "0001_core", ascending */
};

/* RC_IO; RC_NOT_FOUND: no migration there; RC_CONFLICT: two of one number. */
rc migrate_list(const char *dir, struct migrate_names *out) MUST_CHECK;
void migrate_names_fini(struct migrate_names *names);
/* NNNN_name in lower case, digits and underscores. */
bool migrate_name_is_valid(const char *name, size_t len);
/* The caller frees *out.  RC_IO; RC_TOO_LARGE past 4 MiB. */
rc migrate_read_file(const char *dir, const char *name, bool is_up,
    char **out) MUST_CHECK;
/* The functions: the text of dir/code/NN_area.sql, one after the other by name.
 * The caller frees *out.  RC_IO; RC_NOT_FOUND: none; RC_TOO_LARGE. */
rc migrate_read_code(const char *dir, char **out) MUST_CHECK;

#endif
