/*
 * journal_file: what the files of journal.c have in common: the fields of a
 * line, and when a file is put aside or removed.
 */
#ifndef WORKER_ISSUERS_JOURNAL_FILE_H
#define WORKER_ISSUERS_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "worker/issuers/journal.h"

#define SERIAL_DIGITS 40
#define SHA256_DIGITS 64
#define NO_ID "-"
#define JOURNAL_SUFFIX ".journal"

/* So many lower-case hex digits and nothing else. */
bool journal_is_hex_of(const char *s, size_t len);
bool journal_is_job_id(const char *s, size_t len);

/* Makes the names in a directory durable.  RC_IO. */
rc journal_sync_dir(const char *dir) MUST_CHECK;

/* Whether the file is to be put aside: it is as long as that, or its first line
 * as old.  An empty one never is. */
bool journal_is_full(int fd, const struct journal_limits *limits);
/*
 * The file at path, open as fd, gets a name of its own,
 * `<issuer id>.<host>.<time>.journal`; what was written to it is durable
 * before.  Others who have it open may still append to it: it is read like
 * any other.  RC_IO: it has its old name, or its new one, and errno says why.
 */
rc journal_put_aside(const char *dir, const char *path, int fd) MUST_CHECK;
/* Of a file's name that which all files of its CA and host have: "iss-1.host"
 * of "iss-1.host.journal" and of "iss-1.host.20261128T120000.000000Z.journal".
 */
size_t journal_stem_len(const char *name);
/* Removes those put aside of which name and last write are older. */
void journal_drop_old(const char *dir, const char *path, int64_t keep_s);

#endif
