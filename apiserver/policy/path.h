/*
 * path: a request target taken apart.
 *
 * Foreign bytes (fuzzed).  Works in place on a copy that the caller owns; all
 * texts point into it.  What can't be read is refused, in the path and in the
 * query: a filter that were dropped would widen what is asked for.  A value
 * that is read and makes no sense is the handlers' to judge.
 */
#ifndef APISERVER_POLICY_PATH_H
#define APISERVER_POLICY_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define PATH_TARGET_MAX 8192
#define PATH_SEGMENTS_MAX 16
#define PATH_QUERY_MAX 32

struct path_pair {
	const char *name;
	const char *value;
};

struct path {
	size_t nsegments;
	/* Decoded; of more than that the last holds the rest, slashes and
	 * all. */
	char *segments[PATH_SEGMENTS_MAX];
	size_t nquery;
	struct path_pair query[PATH_QUERY_MAX]; /* decoded */
};

/*
 * target: "/a/b?c=d"; changed in place.
 * RC_INVALID: not a path, a byte that may not stand there, a bad percent
 * escape, a hidden character (common/base/plain), invalid UTF-8, more than
 * PATH_QUERY_MAX parameters; RC_TOO_LARGE past PATH_TARGET_MAX.
 */
rc path_parse(char *target, struct path *out) MUST_CHECK;
/* The first of that name; NULL when there is none. */
const char *path_query(const struct path *p, const char *name);
/* Makes one segment of number from and all that follow, slashes between. */
void path_join(struct path *p, size_t from);

/* --- what a parameter of a path may be --- */

/* ^[A-Za-z0-9._:-]{1,128}$, not "-" first, and neither "." nor ".." */
bool path_id_is_valid(const char *id);
/* RFC 4648 section 4, padded or not: what an OCSP request is in a GET. */
bool path_base64_is_valid(const char *text);
/* The same, or a serial number in hex. */
bool path_ocsp_is_valid(const char *text);
/* Two texts of base64url with a dot between them, 128 characters at most: a
 * certificate's identifier (RFC 9773 section 4.1). */
bool path_certid_is_valid(const char *text);
/* A file below a directory: names of [A-Za-z0-9._-] that do not begin with a
 * point, slashes between; 255 characters at most. */
bool path_file_is_valid(const char *text);

#endif
