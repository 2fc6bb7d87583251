#include "worker/issuers/script_rules.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS_MAX 200

static bool
is_safe_owner(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	       (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static const char *
refuse_dir(struct arena *a, const char *dir)
{
	struct stat st;

	if (dir[0] == '\0')
		return "this worker runs no scripts: set "
		       "CERTCTL_SCRIPT_ISSUER_DIR to the directory of the "
		       "scripts that it may run";
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return arena_printf(a,
		    "CERTCTL_SCRIPT_ISSUER_DIR: %s is not a directory on this "
		    "worker's host",
		    dir);
	if (!is_safe_owner(&st))
		return arena_printf(a,
		    "CERTCTL_SCRIPT_ISSUER_DIR: %s must belong to root or the "
		    "worker's user, and nobody else may write to it",
		    dir);
	return NULL;
}

/* Directly in the directory, by its name there; NULL when it is. */
static const char *
refuse_place(struct arena *a, const char *dir, const char *path)
{
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (strncmp(path, dir, len) == 0 && path[len] == '/' &&
	    path[len + 1] != '\0' && !strchr(path + len + 1, '/') &&
	    strcmp(path + len + 1, "..") != 0)
		return NULL;
	return arena_printf(a,
	    "%s does not lie directly in CERTCTL_SCRIPT_ISSUER_DIR (%s)", path,
	    dir);
}

static const char *
refuse_script(struct arena *a, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return arena_printf(a, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return arena_printf(a, "%s is not a regular file", path);
	if (!is_safe_owner(&st))
		return arena_printf(a,
		    "%s must belong to root or the worker's user, and nobody "
		    "else may write to it",
		    path);
	if (access(path, X_OK) < 0)
		return arena_printf(a, "%s is not executable", path);
	return NULL;
}

rc
script_rules_check(const char *dir, struct arena *a, const char *path,
    const char **out_why)
{
	const char *why = refuse_dir(a, dir);

	if (!why) {
		*out_why = refuse_place(a, dir, path);
		if (*out_why)
			return RC_INVALID;
		why = refuse_script(a, path);
	}
	if (!why)
		return RC_OK;
	*out_why = why;
	return RC_IO;
}

char *
script_rules_last_line(struct arena *a, const char *output)
{
	size_t end = strlen(output), from;
	char *line;

	while (end > 0 && strchr(" \t\r\n", output[end - 1]))
		end--;
	from = end;
	while (from > 0 && output[from - 1] != '\n')
		from--;
	if (end - from > WORDS_MAX)
		end = from + WORDS_MAX;
	line = arena_strndup(a, output + from, end - from);
	for (char *p = line; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '"')
			*p = *p == '"' ? '\'' : '?';
	return line;
}
