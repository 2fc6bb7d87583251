/*
 * test_install_faults: each system call of an install, and of its undoing,
 * fails once, and is once the last one that is made: what stands at the paths
 * is the old pair, byte for byte, or the whole new one.
 *
 * Linked with --wrap for the calls that look at or change files, by the names
 * that they have with large files (_FILE_OFFSET_BITS), and for the parsers.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/install.h"
#include "common/base/mem.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

#define FAR_AWAY 4000000000
#define CALLS_MAX 2000
#define N_PAIRS 3

/* What stands before the new pair comes. */
enum before {
	A_PAIR,
	A_PAIR_AND_CHAIN,
	A_PAIR_WHERE_NAMES_CANNOT_BE_EXCHANGED,
	A_PAIR_AND_AN_OLDER_ADOPTION,
	LINKS_TO_A_PAIR,
	A_VERSION,
	NOTHING,
	N_BEFORE
};

static struct arena *a;
static struct install_paths p;
static enum before before;
static const char *old_cert, *old_key, *new_cert, *new_key;
static struct stat cert_before, key_before, chain_before;

static int calls, failing_call; /* 0: none */
static bool is_killing;

/* Whether this call is the one that fails. */
static bool
is_failing(void)
{
	if (failing_call == 0 || is_killing || ++calls != failing_call)
		return false;
	errno = EIO;
	return true;
}

/* Or the one that is never made.  To die before a call that only looks is to
 * die before the next that changes something. */
static bool
is_last(void)
{
	if (failing_call == 0 || !is_killing)
		return is_failing();
	if (++calls == failing_call)
		(void)raise(SIGKILL);
	return false;
}

/* The walk to a directory (safedir.h) is the same whatever stands there, and
 * most of all calls. */
static bool
is_failing_walk(void)
{
	return before == A_PAIR && is_failing();
}

#define WRAPPED(check, type, name, parameters, arguments) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		return check() ? -1 : __real_##name arguments; \
	}

WRAPPED(is_last, int, renameat,
    (int f, const char *from, int t, const char *to), (f, from, t, to))
WRAPPED(is_last, int, symlinkat, (const char *target, int fd, const char *name),
    (target, fd, name))
WRAPPED(is_last, int, linkat,
    (int f, const char *from, int t, const char *to, int flags),
    (f, from, t, to, flags))
WRAPPED(is_last, int, mkdirat, (int fd, const char *name, mode_t mode),
    (fd, name, mode))
WRAPPED(is_last, int, unlinkat, (int fd, const char *name, int flags),
    (fd, name, flags))
WRAPPED(is_last, int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAPPED(is_last, int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAPPED(is_failing_walk, int, fstat64, (int fd, struct stat *st), (fd, st))
WRAPPED(is_failing, int, fstatat64,
    (int fd, const char *name, struct stat *st, int flags),
    (fd, name, st, flags))
WRAPPED(is_failing, int, faccessat,
    (int fd, const char *name, int mode, int flags), (fd, name, mode, flags))
WRAPPED(is_failing, ssize_t, readlinkat,
    (int fd, const char *name, char *out, size_t cap), (fd, name, out, cap))
WRAPPED(is_failing, ssize_t, read, (int fd, void *bytes, size_t len),
    (fd, bytes, len))
WRAPPED(is_last, ssize_t, write, (int fd, const void *bytes, size_t len),
    (fd, bytes, len))

int __wrap_fsync(int fd);
int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...);
int __real_renameat2(int f, const char *from, int t, const char *to,
    unsigned flags);
int __wrap_renameat2(int f, const char *from, int t, const char *to,
    unsigned flags);

/* A process that ends takes nothing from the page cache along. */
int
__wrap_fsync(int fd)
{
	return is_failing() ? -1 : 0;
}

int
__wrap_openat64(int fd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (flags & O_CREAT  ? is_last()
	    : flags & O_PATH ? is_failing_walk()
			     : is_failing())
		return -1;
	return __real_openat64(fd, name, flags, mode);
}

int
__wrap_renameat2(int f, const char *from, int t, const char *to, unsigned flags)
{
	if (is_last())
		return -1;
	if (before == A_PAIR_WHERE_NAMES_CANNOT_BE_EXCHANGED) {
		errno = EINVAL;
		return -1;
	}
	return __real_renameat2(f, from, t, to, flags);
}

/* A few pairs are read thousands of times, which takes longer than all the
 * rest: each is parsed once. */
static struct parsed {
	char *pem;
	size_t len;
	void *x;
} certs[N_PAIRS], keys[N_PAIRS];

static void *
parsed_find(const struct parsed *of, const void *pem, size_t len)
{
	for (int i = 0; i < N_PAIRS && of[i].pem; i++) {
		if (of[i].len == len && memcmp(of[i].pem, pem, len) == 0)
			return of[i].x;
	}
	return NULL;
}

static void
parsed_keep(struct parsed *of, const void *pem, size_t len, void *x)
{
	int i = 0;

	while (i < N_PAIRS && of[i].pem)
		i++;
	CHECK(i < N_PAIRS);
	of[i] = (struct parsed){mem_strndup(pem, len), len, x};
}

rc __real_key_from_pem(const void *pem, size_t len, EVP_PKEY **out);
rc __wrap_key_from_pem(const void *pem, size_t len, EVP_PKEY **out);
rc __real_cert_from_pem(const char *pem, size_t len, X509 **out);
rc __wrap_cert_from_pem(const char *pem, size_t len, X509 **out);

rc
__wrap_key_from_pem(const void *pem, size_t len, EVP_PKEY **out)
{
	EVP_PKEY *key = parsed_find(keys, pem, len);
	rc ret = RC_OK;

	if (!key)
		ret = __real_key_from_pem(pem, len, &key);
	if (ret != RC_OK)
		return ret;
	if (!parsed_find(keys, pem, len))
		parsed_keep(keys, pem, len, key);
	CHECK(EVP_PKEY_up_ref(key) == 1);
	*out = key;
	return RC_OK;
}

rc
__wrap_cert_from_pem(const char *pem, size_t len, X509 **out)
{
	X509 *cert = parsed_find(certs, pem, len);
	rc ret = RC_OK;

	if (!cert)
		ret = __real_cert_from_pem(pem, len, &cert);
	if (ret != RC_OK)
		return ret;
	if (!parsed_find(certs, pem, len))
		parsed_keep(certs, pem, len, cert);
	CHECK(X509_up_ref(cert) == 1);
	*out = cert;
	return RC_OK;
}

static rc
stage(const char *version, const char *cert, const char *key)
{
	struct secret *pem = secret_new(key, strlen(key));
	const char *why = "";
	rc ret = install_stage(a, &p, version, cert, pem, &why);

	secret_free(pem);
	return ret;
}

static rc
go_forward(void)
{
	const char *why = "";
	rc ret;

	ret = install_check(a, &p, &why);
	if (ret == RC_OK)
		ret = stage("certver-new", new_cert, new_key);
	if (ret == RC_OK)
		ret = install_adopt(a, &p, &why);
	if (ret == RC_OK)
		ret = install_switch(a, &p, "v/certver-new", &why);
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
	if (strcmp(current, "v/certver-new") == 0)
		current = before == NOTHING     ? ""
			  : before == A_VERSION ? "v/certver-old"
						: "v/adopted";
	return install_back(a, &p, current, &why);
}

/* Made once, for that takes longer than all the rest. */
static void
take_pair(int i, const char **out_cert, const char **out_key)
{
	static char *kept[N_PAIRS][2];
	const char *cert, *key;

	if (!kept[i][0]) {
		sandbox_pair(FAR_AWAY, &cert, &key);
		kept[i][0] = mem_strdup(cert);
		kept[i][1] = mem_strdup(key);
	}
	*out_cert = kept[i][0];
	*out_key = kept[i][1];
}

static void
put_pair(const char *cert, const char *key)
{
	sandbox_put(cert, old_cert);
	sandbox_put(key, old_key);
	CHECK(chmod(sandbox_path(key), 0640) == 0);
	/* so that what is new has to be given away */
	if (geteuid() == 0)
		CHECK(chown(sandbox_path(key), 0, 33) == 0);
}

static void
put_what_stands_before(void)
{
	const char *why = "", *cert = old_cert, *key = old_key;

	switch (before) {
	case A_VERSION:
		CHECK_INT(stage("certver-old", old_cert, old_key), RC_OK);
		CHECK_INT(install_switch(a, &p, "v/certver-old", &why), RC_OK);
		break;
	case LINKS_TO_A_PAIR:
		put_pair("cert-of-theirs", "key-of-theirs");
		CHECK(symlink("../cert-of-theirs",
			  sandbox_path("etc/site.crt")) == 0);
		CHECK(symlink("../key-of-theirs",
			  sandbox_path("etc/site.key")) == 0);
		break;
	case A_PAIR_AND_AN_OLDER_ADOPTION:
		take_pair(2, &old_cert, &old_key);
		put_pair("etc/site.crt", "etc/site.key");
		CHECK_INT(install_adopt(a, &p, &why), RC_OK);
		CHECK_INT(stage("certver-x", new_cert, new_key), RC_OK);
		CHECK_INT(install_switch(a, &p, "v/certver-x", &why), RC_OK);
		install_settle(a, &p);
		CHECK(unlink(sandbox_path("etc/site.crt")) == 0);
		CHECK(unlink(sandbox_path("etc/site.key")) == 0);
		old_cert = cert;
		old_key = key;
		put_pair("etc/site.crt", "etc/site.key");
		break;
	case A_PAIR_AND_CHAIN:
		p.chain_path = sandbox_path("etc/chain.pem");
		sandbox_put("etc/chain.pem", old_cert);
		CHECK(stat(p.chain_path, &chain_before) == 0);
		put_pair("etc/site.crt", "etc/site.key");
		break;
	case A_PAIR:
	case A_PAIR_WHERE_NAMES_CANNOT_BE_EXCHANGED:
		put_pair("etc/site.crt", "etc/site.key");
		break;
	case NOTHING:
	case N_BEFORE:
		break;
	}
}

static void
begin(void)
{
	const char *why = "";

	failing_call = 0;
	sandbox_in_memory();
	a = sandbox_new();
	CHECK(mkdir(sandbox_path("etc"), 0755) == 0);
	CHECK_INT(install_paths_of(a, sandbox_path("etc/site.crt"),
		      sandbox_path("etc/site.key"), NULL, &p, &why),
	    RC_OK);
	take_pair(0, &old_cert, &old_key);
	take_pair(1, &new_cert, &new_key);
	put_what_stands_before();
	if (before != NOTHING) {
		CHECK(lstat(sandbox_path("etc/site.crt"), &cert_before) == 0);
		CHECK(lstat(sandbox_path("etc/site.key"), &key_before) == 0);
	}
}

static bool
shows(const char *cert, const char *key)
{
	const char *c = sandbox_get("etc/site.crt");
	const char *k = sandbox_get("etc/site.key");

	return c && k && strcmp(c, cert) == 0 && strcmp(k, key) == 0;
}

/* In the middle of things.  Where nothing stood, half of the first pair may
 * be seen, for there is no pair to lose. */
static bool
is_a_pair(void)
{
	return before == NOTHING || shows(old_cert, old_key) ||
	       shows(new_cert, new_key);
}

static bool
is_same_file(const char *name, const struct stat *want)
{
	struct stat st;

	return lstat(sandbox_path(name), &st) == 0 &&
	       st.st_ino == want->st_ino && st.st_mode == want->st_mode &&
	       st.st_uid == want->st_uid && st.st_gid == want->st_gid &&
	       st.st_nlink == want->st_nlink;
}

static bool
is_as_before(void)
{
	if (sandbox_has("etc/.certctl-orig-site.crt") ||
	    sandbox_has("etc/.certctl-orig-site.key"))
		return false;
	if (before == NOTHING)
		return !sandbox_has("etc/site.crt") &&
		       !sandbox_has("etc/site.key");
	if (before == A_PAIR_AND_CHAIN &&
	    !is_same_file("etc/chain.pem", &chain_before))
		return false;
	return is_same_file("etc/site.crt", &cert_before) &&
	       is_same_file("etc/site.key", &key_before) &&
	       shows(old_cert, old_key);
}

static void
every_call_that_fails_leaves_a_pair(void)
{
	int n, refused;

	for (before = A_PAIR; before < N_BEFORE; before++) {
		refused = 0;
		for (n = 1; n < CALLS_MAX; n++) {
			rc ret;

			begin();
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
			CHECK(is_a_pair());
			CHECK_INT(go_back(), RC_OK);
			CHECK(is_as_before());
		}
		CHECK(n > 60 && n < CALLS_MAX);
		CHECK(refused > 30);
	}
}

static void
every_call_that_fails_on_the_way_back_leaves_a_pair(void)
{
	int n, refused;

	for (before = A_PAIR; before < N_BEFORE; before++) {
		refused = 0;
		for (n = 1; n < CALLS_MAX; n++) {
			rc ret;

			begin();
			CHECK_INT(go_forward(), RC_OK);
			calls = 0;
			failing_call = n;
			ret = go_back();
			failing_call = 0;
			if (ret != RC_OK) {
				refused++;
				CHECK(is_a_pair());
				CHECK_INT(go_back(), RC_OK);
			}
			CHECK(is_as_before());
			if (calls < n)
				break;
		}
		CHECK(n > 10 && n < CALLS_MAX);
		CHECK(refused > 8);
	}
}

/* Killed before its n-th call: a pair shows, and the next run goes on. */
static int
deaths_at_every_call(bool is_back)
{
	int n = 1, status = 0;

	for (;; n++) {
		pid_t child;

		begin();
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
		CHECK(is_a_pair());
		CHECK_INT(go_forward(), RC_OK);
		CHECK(shows(new_cert, new_key));
		CHECK_INT(go_back(), RC_OK);
		CHECK(is_as_before());
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return n;
}

static void
every_death_on_the_way_forward_leaves_a_pair(void)
{
	for (before = A_PAIR; before < N_BEFORE; before++)
		CHECK(deaths_at_every_call(false) > 15);
}

static void
every_death_on_the_way_back_leaves_a_pair(void)
{
	for (before = A_PAIR; before < N_BEFORE; before++)
		CHECK(deaths_at_every_call(true) > 2);
}

CHECK_MAIN(CHECK_ROW(every_call_that_fails_leaves_a_pair),
    CHECK_ROW(every_call_that_fails_on_the_way_back_leaves_a_pair),
    CHECK_ROW(every_death_on_the_way_forward_leaves_a_pair),
    CHECK_ROW(every_death_on_the_way_back_leaves_a_pair))
