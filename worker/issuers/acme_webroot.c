/*
 * Answers to http-01 below the root of a web server.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/issuers/acme_http01.h"

#define TOKEN_MAX 128

bool
acme_token_is_valid(const char *token)
{
	size_t len = strlen(token);

	return len > 0 && len <= TOKEN_MAX &&
	       strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
			     "xyz0123456789-_") == len;
}

/* Of the directory that answers stand in; -1 and errno. */
static int
open_dir(const char *webroot)
{
	static const char *const steps[] = {".well-known", "acme-challenge"};
	int fd = open(webroot, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;
	bool is_new;

	for (size_t i = 0; i < ARRAY_LEN(steps) && fd >= 0; i++) {
		is_new = mkdirat(fd, steps[i], 0755) == 0;
		next =
		    is_new || errno == EEXIST
			? openat(fd, steps[i],
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			: -1;
		/* The web server reads it, whatever our umask is. */
		if (next >= 0 && is_new)
			(void)fchmod(next, 0755); /* else it says so itself */
		close(fd);
		fd = next;
	}
	return fd;
}

/* Whole or not at all: it is renamed when all of it is there. */
static int
write_answer(int dir, const char *temporary, const char *name, const char *text)
{
	size_t len = strlen(text);
	ssize_t n;
	int fd;

	(void)unlinkat(dir, temporary, 0); /* of one that was killed */
	fd = openat(dir, temporary,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	n = fchmod(fd, 0644) == 0 ? write(fd, text, len) : -1;
	if (n >= 0 && (size_t)n != len)
		errno = ENOSPC;
	if (close(fd) < 0 || n < 0 || (size_t)n != len)
		return -1;
	return renameat(dir, temporary, dir, name);
}

rc
acme_webroot_put(struct arena *a, const char *webroot,
    const struct acme_answer *answer, const char **out_why)
{
	int dir = open_dir(webroot), did = -1;

	if (dir >= 0) {
		did = write_answer(dir, arena_printf(a, ".%s", answer->token),
		    answer->token, answer->key_authorization);
		if (did < 0)
			*out_why = arena_printf(a,
			    "the answer to http-01 can't be written below %s: "
			    "%s",
			    webroot, strerror(errno));
		close(dir);
	} else {
		*out_why = arena_printf(a,
		    "%s/.well-known/acme-challenge can't be written to: %s",
		    webroot, strerror(errno));
	}
	return did == 0 ? RC_OK : RC_IO;
}

void
acme_webroot_withdraw(struct arena *a, const char *webroot, const char *token)
{
	/* It may be gone, and does no harm where it is not. */
	(void)unlink(arena_printf(a, "%s/.well-known/acme-challenge/%s",
	    webroot, token));
}
