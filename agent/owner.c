/*
 * Whose a directory of versions is, and whose the link that stands at a path.
 *
 * Two paths may lead to one file by way of a linked directory, and only the
 * host can see that: so T says which certificate it was made for, and by which
 * paths.  The same path is no business of ours: the server gives it to one
 * certificate at a time.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/install_int.h"
#include "agent/spot.h"
#include "common/base/text.h"

#define OWNER_FILE "owner"

enum { OWNER_MAX = 4 * INSTALL_PATH_MAX };

/* The lines of T/owner. */
enum { CERTIFICATE, CERT, KEY, CHAIN, LINES };

struct owner {
	const char *lines[LINES]; /* "": it does not say */
};

/* Nothing where T says nothing: as one of an earlier version. */
static rc
owner_read(struct arena *a, int dir_fd, struct owner *out)
{
	const char *rest = "";
	char *text;
	size_t len;
	rc ret;

	ret = files_read(a, dir_fd, OWNER_FILE, OWNER_MAX, &text, &len);
	if (ret == RC_OK)
		rest = text;
	else if (ret != RC_NOT_FOUND)
		return ret;
	for (int i = 0; i < LINES; i++) {
		len = strcspn(rest, "\n");
		out->lines[i] = arena_strndup(a, rest, len);
		rest += len + (rest[len] != '\0' ? 1 : 0);
	}
	return RC_OK;
}

static const char *
owner_text(struct arena *a, const struct install_paths *p,
    const char *certificate)
{
	return arena_printf(a, "%s\n%s\n%s\n%s\n", certificate, p->cert_path,
	    p->key_path, p->chain_path ? p->chain_path : "");
}

/* Whether it says that this line's file is another certificate's, which calls
 * it by another path. */
static bool
is_another(struct arena *a, const struct owner *o, int line, const char *path,
    const char *certificate, const char *remove, const char **out_why)
{
	const char *other = o->lines[CERTIFICATE], *file = o->lines[line];

	if (file[0] == '\0' || strcmp(other, certificate) == 0 ||
	    strcmp(file, path) == 0)
		return false;
	*out_why = arena_printf(a,
	    "%s is the same file as %s, which this agent installs for "
	    "certificate %s: give each a file of its own; if that one is not "
	    "installed there any more, remove %s",
	    path, file, other, remove);
	return true;
}

/* --- what stands at a path --- */

/* The line of the file that the link is to, if it is one that an install
 * makes: then *out_dir is its T. */
static int
read_link(struct arena *a, const struct spot *t, const char **out_dir)
{
	static const char *const ends[LINES] = {[CERT] = "/current/" CERT_FILE,
	    [KEY] = "/current/" KEY_FILE,
	    [CHAIN] = "/current/" CHAIN_FILE};
	char link[PATH_MAX];
	ssize_t n = readlinkat(t->dir_fd, t->name, link, sizeof(link) - 1);

	if (n <= 0 || link[0] != '/')
		return CERTIFICATE;
	link[n] = '\0';
	for (int i = CERT; i < LINES; i++) {
		if (!text_ends_with(link, ends[i]))
			continue;
		*out_dir = arena_strndup(a, link, (size_t)n - strlen(ends[i]));
		return i;
	}
	return CERTIFICATE;
}

/* What cannot be read of a T that is not this install's says nothing. */
static bool
is_spot_anothers(struct arena *a, const struct install_paths *p,
    const struct spot *t, const char *certificate, const char **out_why)
{
	struct install_paths other = {.bounds = p->bounds};
	const char *why;
	struct owner o;
	int fd, line;
	rc ret;

	line = read_link(a, t, &other.dir);
	if (line == CERTIFICATE || install_open(a, &other, &fd, &why) != RC_OK)
		return false;
	ret = owner_read(a, fd, &o);
	close(fd);
	return ret == RC_OK &&
	       is_another(a, &o, line, t->path, certificate,
		   arena_printf(a, "the link %s", t->path), out_why);
}

static rc
check_spots(struct arena *a, const struct install_paths *p,
    const char *certificate, const char **out_why)
{
	bool is_anothers = false;
	const char *why;
	struct spots s;

	/* The install says why they cannot be looked at. */
	if (spots_open(a, p, &s, &why) != RC_OK)
		return RC_OK;
	for (size_t i = 0; !is_anothers && i < s.n; i++)
		is_anothers =
		    is_spot_anothers(a, p, &s.all[i], certificate, out_why);
	spots_close(&s);
	return is_anothers ? RC_CONFLICT : RC_OK;
}

/* --- T itself --- */

rc
install_owner_check(struct arena *a, const struct install_paths *p,
    const char *certificate, const char **out_why)
{
	struct owner o;
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret == RC_NOT_FOUND)
		return check_spots(a, p, certificate, out_why);
	if (ret != RC_OK)
		return ret;
	ret = owner_read(a, fd, &o);
	close(fd);
	if (ret != RC_OK)
		return install_fail(a, out_why, "cannot read " OWNER_FILE " in",
		    p->dir);
	if (is_another(a, &o, CERT, p->cert_path, certificate,
		arena_printf(a, "%s/" OWNER_FILE, p->dir), out_why))
		return RC_CONFLICT;
	return check_spots(a, p, certificate, out_why);
}

rc
install_owner_write(struct arena *a, const struct install_paths *p,
    const char *certificate, const char **out_why)
{
	const char *wanted = owner_text(a, p, certificate);
	size_t len = 0;
	char *text = NULL;
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret != RC_OK)
		return ret;
	ret = files_read(a, fd, OWNER_FILE, OWNER_MAX, &text, &len);
	if (ret == RC_NOT_FOUND || (ret == RC_OK && strcmp(text, wanted) != 0))
		ret = files_write(fd, OWNER_FILE, wanted, strlen(wanted), 0600);
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot write " OWNER_FILE " in",
		    p->dir);
	close(fd);
	return ret;
}
