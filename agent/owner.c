/*
 * Whose a directory of versions is.
 *
 * Two paths may lead to one file by way of a linked directory, and only the
 * host can see that: so T says which certificate it was made for, and by which
 * path.  The same path is no business of ours: the server gives it to one
 * certificate at a time.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/install_int.h"

#define OWNER_FILE "owner"

enum { OWNER_MAX = 8192 };

/* "" when T says nothing: as one of an earlier version. */
static rc
owner_read(struct arena *a, int dir_fd, const char **out)
{
	char *text;
	size_t len;
	rc ret;

	ret = files_read(a, dir_fd, OWNER_FILE, OWNER_MAX, &text, &len);
	if (ret == RC_OK)
		*out = text;
	else if (ret == RC_NOT_FOUND)
		*out = "";
	return ret == RC_NOT_FOUND ? RC_OK : ret;
}

static const char *
owner_text(struct arena *a, const struct install_paths *p,
    const char *certificate)
{
	return arena_printf(a, "%s\n%s\n", certificate, p->cert_path);
}

static bool
is_another(struct arena *a, const struct install_paths *p, const char *text,
    const char *certificate, const char **out_why)
{
	size_t len = strcspn(text, "\n");
	const char *other = arena_strndup(a, text, len), *path, *file;

	if (text[len] == '\0' || strcmp(other, certificate) == 0)
		return false;
	path = text + len + 1;
	file = arena_strndup(a, path, strcspn(path, "\n"));
	if (strcmp(file, p->cert_path) == 0)
		return false;
	*out_why = arena_printf(a,
	    "%s is the same file as %s, which this agent installs for "
	    "certificate %s: give each a file of its own; if that one is not "
	    "installed there any more, remove %s/" OWNER_FILE,
	    p->cert_path, file, other, p->dir);
	return true;
}

rc
install_owner_check(struct arena *a, const struct install_paths *p,
    const char *certificate, const char **out_why)
{
	const char *text = "";
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret != RC_OK)
		return ret == RC_NOT_FOUND ? RC_OK : ret;
	ret = owner_read(a, fd, &text);
	close(fd);
	if (ret != RC_OK)
		return install_fail(a, out_why, "cannot read " OWNER_FILE " in",
		    p->dir);
	return is_another(a, p, text, certificate, out_why) ? RC_CONFLICT
							    : RC_OK;
}

rc
install_owner_write(struct arena *a, const struct install_paths *p,
    const char *certificate, const char **out_why)
{
	const char *text = "", *wanted = owner_text(a, p, certificate);
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret != RC_OK)
		return ret;
	ret = owner_read(a, fd, &text);
	if (ret == RC_OK && strcmp(text, wanted) != 0)
		ret = files_write(fd, OWNER_FILE, wanted, strlen(wanted), 0600);
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot write " OWNER_FILE " in",
		    p->dir);
	close(fd);
	return ret;
}
