/*
 * test_install_faults: each system call of an install fails once, and each
 * point between its steps is once the last one: what stands at the paths is
 * the old pair, byte for byte, or the whole new one.
 *
 * Linked with --wrap for the calls that change something.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/install.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

#define FAR_AWAY 4000000000

static struct arena *a;
static struct install_paths p;
static const char *old_cert, *old_key, *new_cert, *new_key;
static struct stat cert_before, key_before;

static int calls, failing_call; /* 0: none */
static bool is_killing;

/* Whether this call is the one that fails, or the one never made. */
static bool
is_failing(void)
{
	if (failing_call == 0 || ++calls != failing_call)
		return false;
	if (is_killing)
		(void)raise(SIGKILL);
	errno = EIO;
	return true;
}

int __real_renameat(int, const char *, int, const char *);
int __wrap_renameat(int, const char *, int, const char *);
int __real_renameat2(int, const char *, int, const char *, unsigned);
int __wrap_renameat2(int, const char *, int, const char *, unsigned);
int __real_symlinkat(const char *, int, const char *);
int __wrap_symlinkat(const char *, int, const char *);
int __real_mkdirat(int, const char *, mode_t);
int __wrap_mkdirat(int, const char *, mode_t);
int __real_unlinkat(int, const char *, int);
int __wrap_unlinkat(int, const char *, int);
int __real_fsync(int);
int __wrap_fsync(int);
int __real_fchmod(int, mode_t);
int __wrap_fchmod(int, mode_t);
ssize_t __real_write(int, const void *, size_t);
ssize_t __wrap_write(int, const void *, size_t);

int
__wrap_renameat(int f, const char *from, int t, const char *to)
{
	return is_failing() ? -1 : __real_renameat(f, from, t, to);
}

int
__wrap_renameat2(int f, const char *from, int t, const char *to, unsigned flags)
{
	return is_failing() ? -1 : __real_renameat2(f, from, t, to, flags);
}

int
__wrap_symlinkat(const char *target, int fd, const char *name)
{
	return is_failing() ? -1 : __real_symlinkat(target, fd, name);
}

int
__wrap_mkdirat(int fd, const char *name, mode_t mode)
{
	return is_failing() ? -1 : __real_mkdirat(fd, name, mode);
}

int
__wrap_unlinkat(int fd, const char *name, int flags)
{
	return is_failing() ? -1 : __real_unlinkat(fd, name, flags);
}

int
__wrap_fsync(int fd)
{
	return is_failing() ? -1 : __real_fsync(fd);
}

int
__wrap_fchmod(int fd, mode_t mode)
{
	return is_failing() ? -1 : __real_fchmod(fd, mode);
}

ssize_t
__wrap_write(int fd, const void *bytes, size_t len)
{
	return is_failing() ? -1 : __real_write(fd, bytes, len);
}

static void
with_a_pair(void)
{
	const char *why = "";

	failing_call = 0;
	a = sandbox_new();
	CHECK(mkdir(sandbox_path("etc"), 0755) == 0);
	CHECK_INT(install_paths_of(a, sandbox_path("etc/site.crt"),
		      sandbox_path("etc/site.key"), NULL, &p, &why),
	    RC_OK);
	sandbox_pair(FAR_AWAY, &old_cert, &old_key);
	sandbox_pair(FAR_AWAY, &new_cert, &new_key);
	sandbox_put("etc/site.crt", old_cert);
	sandbox_put("etc/site.key", old_key);
	CHECK(chmod(sandbox_path("etc/site.key"), 0640) == 0);
	CHECK(stat(sandbox_path("etc/site.crt"), &cert_before) == 0);
	CHECK(stat(sandbox_path("etc/site.key"), &key_before) == 0);
}

static rc
go_forward(void)
{
	struct secret *pem = secret_new(new_key, strlen(new_key));
	const char *why = "";
	rc ret;

	ret = install_stage(a, &p, "new", new_cert, pem, &why);
	secret_free(pem);
	if (ret == RC_OK)
		ret = install_adopt(a, &p, &why);
	if (ret == RC_OK)
		ret = install_switch(a, &p, "v/new", &why);
	return ret;
}

/* What a deployment does when a step of it fails. */
static rc
go_back(void)
{
	const char *why = "", *current;
	rc ret = install_current(a, &p, &current);

	if (ret != RC_OK)
		return ret;
	return install_back(a, &p,
	    strcmp(current, "v/new") == 0 ? "v/adopted" : current, &why);
}

static bool
shows(const char *cert, const char *key)
{
	const char *c = sandbox_get("etc/site.crt");
	const char *k = sandbox_get("etc/site.key");

	return c && k && strcmp(c, cert) == 0 && strcmp(k, key) == 0;
}

static bool
is_as_before(void)
{
	struct stat c, k;

	return lstat(sandbox_path("etc/site.crt"), &c) == 0 &&
	       lstat(sandbox_path("etc/site.key"), &k) == 0 &&
	       c.st_ino == cert_before.st_ino &&
	       c.st_mode == cert_before.st_mode &&
	       k.st_ino == key_before.st_ino &&
	       k.st_mode == key_before.st_mode && shows(old_cert, old_key);
}

static void
every_call_that_fails_leaves_a_pair(void)
{
	int n = 1, refused = 0;

	for (;; n++) {
		rc ret;

		with_a_pair();
		calls = 0;
		failing_call = n;
		ret = go_forward();
		failing_call = 0;
		if (ret == RC_OK) {
			CHECK(shows(new_cert, new_key));
			if (calls < n)
				break; /* there was no n-th call */
			continue;
		}
		refused++;
		CHECK(shows(old_cert, old_key) || shows(new_cert, new_key));
		CHECK_INT(go_back(), RC_OK);
		CHECK(is_as_before());
	}
	CHECK(n > 25);
	CHECK(refused > 15);
}

/* Killed before its n-th call: a pair shows, and the next run goes on. */
static void
every_call_that_is_the_last_leaves_a_pair(bool is_back)
{
	int n = 1, status = 0;

	for (;; n++) {
		pid_t child;

		with_a_pair();
		if (is_back)
			CHECK_INT(go_forward(), RC_OK);
		child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			is_killing = true;
			calls = 0;
			failing_call = n;
			_exit((is_back ? go_back() : go_forward()) != RC_OK);
		}
		CHECK(waitpid(child, &status, 0) == child);
		if (!WIFSIGNALED(status))
			break;
		CHECK(shows(old_cert, old_key) || shows(new_cert, new_key));
		CHECK_INT(go_forward(), RC_OK);
		CHECK(shows(new_cert, new_key));
		CHECK_INT(go_back(), RC_OK);
		CHECK(is_as_before());
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(n > (is_back ? 5 : 25));
}

static void
every_death_on_the_way_forward_leaves_a_pair(void)
{
	every_call_that_is_the_last_leaves_a_pair(false);
}

static void
every_death_on_the_way_back_leaves_a_pair(void)
{
	every_call_that_is_the_last_leaves_a_pair(true);
}

CHECK_MAIN(CHECK_ROW(every_call_that_fails_leaves_a_pair),
    CHECK_ROW(every_death_on_the_way_forward_leaves_a_pair),
    CHECK_ROW(every_death_on_the_way_back_leaves_a_pair))
