#include "tests/unit/agent/install_rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

struct arena *a;
struct install_paths p;
const char *why;

rc
paths(const char *cert, const char *key, const char *chain)
{
	why = "";
	return install_paths_of(a, cert, key, chain, &p, &why);
}

/* A target whose server names T/current itself. */
void
direct(void)
{
	a = sandbox_new();
	CHECK_INT(paths(sandbox_path("T/current/fullchain.pem"),
		      sandbox_path("T/current/privkey.pem"), NULL),
	    RC_OK);
}

/* A target whose server names two files that stand already. */
void
with_files(void)
{
	a = sandbox_new();
	CHECK(mkdir(sandbox_path("etc"), 0755) == 0);
	CHECK_INT(paths(sandbox_path("etc/site.crt"),
		      sandbox_path("etc/site.key"), NULL),
	    RC_OK);
}

rc
stage(const char *version, const char *chain, const char *key)
{
	struct secret *pem = secret_new(key, strlen(key));
	rc ret = install_stage(a, &p, version, chain, pem, &why);

	secret_free(pem);
	return ret;
}

const char *old_cert, *old_key;
struct stat old_cert_stat, old_key_stat;

void
with_a_pair(long not_after)
{
	struct timespec t[2] = {{.tv_sec = 1111}, {.tv_sec = 1111}};

	with_files();
	sandbox_pair(not_after, &old_cert, &old_key);
	sandbox_put("etc/site.crt", old_cert);
	sandbox_put("etc/site.key", old_key);
	CHECK(chmod(sandbox_path("etc/site.crt"), 0604) == 0);
	CHECK(chmod(sandbox_path("etc/site.key"), 0640) == 0);
	if (geteuid() == 0)
		CHECK(chown(sandbox_path("etc/site.key"), 0, 33) == 0);
	CHECK(utimensat(AT_FDCWD, sandbox_path("etc/site.key"), t, 0) == 0);
	CHECK(stat(sandbox_path("etc/site.crt"), &old_cert_stat) == 0);
	CHECK(stat(sandbox_path("etc/site.key"), &old_key_stat) == 0);
}

bool
is_same_file(const char *name, const struct stat *want)
{
	struct stat st;

	return lstat(sandbox_path(name), &st) == 0 &&
	       st.st_ino == want->st_ino && st.st_mode == want->st_mode &&
	       st.st_uid == want->st_uid && st.st_gid == want->st_gid &&
	       st.st_mtim.tv_sec == want->st_mtim.tv_sec &&
	       st.st_size == want->st_size;
}

bool
is_as_before(void)
{
	return is_same_file("etc/site.crt", &old_cert_stat) &&
	       is_same_file("etc/site.key", &old_key_stat) &&
	       !sandbox_has("etc/.certctl-orig-site.crt") &&
	       !sandbox_has("etc/.certctl-orig-site.key");
}
