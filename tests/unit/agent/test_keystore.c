/*
 * test_keystore: a job has one key, kept private and kept until it is useless.
 */
#include "agent/keystore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/pki/key/key.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static struct agent agent;
static struct arena *a;

static void
begin(void)
{
	if (agent.key_dir_fd > 0)
		close(agent.key_dir_fd);
	a = sandbox_new();
	agent.key_dir_fd = sandbox_dir_fd("k");
}

static void
a_job_has_one_key(void)
{
	EVP_PKEY *first = NULL, *second = NULL, *other = NULL;
	bool same, differs;

	begin();
	CHECK_INT(keystore_key(&agent, "job-1", &first), RC_OK);
	CHECK_INT(sandbox_mode("k/job-1.key"), 0600);
	CHECK_INT(keystore_key(&agent, "job-1", &second), RC_OK);
	CHECK_INT(keystore_key(&agent, "job-2", &other), RC_OK);
	same = EVP_PKEY_eq(first, second) == 1;
	differs = EVP_PKEY_eq(first, other) == 0;
	EVP_PKEY_free(first);
	EVP_PKEY_free(second);
	EVP_PKEY_free(other);
	CHECK(same);
	CHECK(differs);
	CHECK_INT(sandbox_count("k"), 2);
}

static void
a_version_leads_to_its_jobs_key(void)
{
	struct secret *pem = NULL;
	EVP_PKEY *key = NULL;
	const char *file;

	begin();
	CHECK_INT(keystore_key(&agent, "job-17-4", &key), RC_OK);
	EVP_PKEY_free(key);
	CHECK_INT(keystore_pem_of_version(&agent, "certver-17-4", &pem), RC_OK);
	file = sandbox_get("k/job-17-4.key");
	CHECK_INT(strlen(file), secret_len(pem));
	CHECK(memcmp(file, secret_bytes(pem), secret_len(pem)) == 0);
	secret_free(pem);
	CHECK_INT(keystore_pem_of_version(&agent, "certver-18-4", &pem),
	    RC_NOT_FOUND);
	CHECK_INT(keystore_pem_of_version(&agent, "version-17-4", &pem),
	    RC_INVALID);
	CHECK_INT(keystore_pem_of_version(&agent, "certver-", &pem),
	    RC_NOT_FOUND);
	CHECK_INT(keystore_pem_of_version(&agent, "certver", &pem), RC_INVALID);
	CHECK_INT(keystore_pem_of_version(&agent, "", &pem), RC_INVALID);
	CHECK_INT(keystore_pem_of_version(&agent, "certver-/../../x", &pem),
	    RC_INVALID);
}

static void
odd_jobs_make_no_file(void)
{
	static const char *const bad[] = {"", ".", "..", ".x", "a/b", "../x",
	    "a b", "a\nb", "j\xc3\xb6"};
	char longest[130];
	EVP_PKEY *key = NULL;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(keystore_key(&agent, bad[i], &key), RC_INVALID);
		CHECK_INT(keystore_mark(&agent, bad[i], "c", "x"), RC_INVALID);
		keystore_forget(&agent, bad[i]);
	}
	memset(longest, 'j', 129);
	longest[129] = '\0';
	CHECK_INT(keystore_key(&agent, longest, &key), RC_INVALID);
	CHECK_INT(sandbox_count("k"), 0);
}

static void
a_full_disk_leaves_nothing(void)
{
	EVP_PKEY *key = NULL;
	rc ret;

	begin();
	sandbox_limit_writes(100);
	errno = 0;
	ret = keystore_key(&agent, "job-1", &key);
	sandbox_limit_writes(0);
	CHECK_INT(ret, RC_IO);
	CHECK_INT(errno, EFBIG);
	CHECK(!key);
	CHECK_INT(sandbox_count("k"), 0);
	CHECK_INT(keystore_key(&agent, "job-1", &key), RC_OK);
	EVP_PKEY_free(key);
}

static void
a_broken_key_is_an_error(void)
{
	EVP_PKEY *key = NULL;

	begin();
	sandbox_put("k/job-1.key", "not a key");
	CHECK_INT(keystore_key(&agent, "job-1", &key), RC_INVALID);
	CHECK_STR(sandbox_get("k/job-1.key"), "not a key");
	CHECK(symlink("job-1.key", sandbox_path("k/job-2.key")) == 0);
	CHECK_INT(keystore_key(&agent, "job-2", &key), RC_IO);
}

static void
marks_tell_what_is_unfinished(void)
{
	EVP_PKEY *key = NULL;

	begin();
	CHECK(!keystore_has_unfinished(&agent));
	CHECK_INT(keystore_key(&agent, "job-1", &key), RC_OK);
	EVP_PKEY_free(key);
	CHECK(!keystore_has_unfinished(&agent));
	CHECK_INT(keystore_mark(&agent, "job-1", "mc-1", "CSR"), RC_OK);
	CHECK_STR(sandbox_get("k/job-1.csr"), "mc-1\nCSR");
	CHECK(keystore_has_unfinished(&agent));
	keystore_installed(&agent, "mc-1", "certver-1");
	CHECK(!keystore_has_unfinished(&agent));
	CHECK(sandbox_has("k/job-1.key"));
	keystore_installed(&agent, "mc-1", "certver-1"); /* again is fine */
	keystore_installed(&agent, "mc-1", "odd");
}

static void
old_marks_hurry_nobody(void)
{
	struct timeval t[2] = {{.tv_sec = time(NULL) - 8 * 86400},
	    {.tv_sec = time(NULL) - 8 * 86400}};

	begin();
	CHECK_INT(keystore_mark(&agent, "job-1", "mc-1", "CSR"), RC_OK);
	CHECK(utimes(sandbox_path("k/job-1.csr"), t) == 0);
	CHECK(!keystore_has_unfinished(&agent));
	/* The CA may be slow: the key is needed all the same. */
	CHECK_INT(sandbox_count("k"), 1);
}

static void
enrol(const char *job, const char *certificate, time_t at)
{
	struct timeval t[2] = {{.tv_sec = at}, {.tv_sec = at}};
	EVP_PKEY *key = NULL;

	CHECK_INT(keystore_key(&agent, job, &key), RC_OK);
	EVP_PKEY_free(key);
	CHECK_INT(keystore_mark(&agent, job, certificate, "CSR"), RC_OK);
	CHECK(utimes(sandbox_path(arena_printf(a, "k/%s.csr", job)), t) == 0);
}

static const char *
site(const char *name)
{
	const char *path = sandbox_path(name);

	(void)mkdir(path, 0755);
	(void)mkdir(arena_printf(a, "%s/v", path), 0755);
	return path;
}

/* As a deployment does it: hold, stage, prove. */
static void
install(const char *version, const char *certificate, const char *dir)
{
	CHECK_INT(keystore_hold(&agent, version, dir), RC_OK);
	CHECK(mkdir(arena_printf(a, "%s/v/%s", dir, version), 0755) == 0);
	keystore_installed(&agent, certificate, version);
	keystore_release(&agent, dir);
}

static void
prune(const char *version, const char *dir)
{
	CHECK(rmdir(arena_printf(a, "%s/v/%s", dir, version)) == 0);
	keystore_release(&agent, dir);
}

static void
a_key_goes_with_its_last_version(void)
{
	const char *one, *two;

	begin();
	one = site("one");
	two = site("two");
	enrol("job-1", "mc-1", 1000);
	install("certver-1", "mc-1", one);
	install("certver-1", "mc-1", two);
	CHECK(!sandbox_has("k/job-1.csr"));
	enrol("job-2", "mc-1", 2000);
	install("certver-2", "mc-1", one);
	CHECK(sandbox_has("k/job-1.key")); /* kept to swap back to */
	prune("certver-1", one);
	CHECK(sandbox_has("k/job-1.key")); /* the other serves it */
	prune("certver-1", two);
	CHECK(!sandbox_has("k/job-1.key"));
	CHECK(sandbox_has("k/job-2.key"));
	CHECK_INT(sandbox_count("k"), 2);
}

static void
a_key_that_a_job_waits_for_stays(void)
{
	const char *one;

	begin();
	one = site("one");
	/* Staged, not proven, and pruned by the next. */
	enrol("job-1", "mc-1", 1000);
	CHECK_INT(keystore_hold(&agent, "certver-1", one), RC_OK);
	keystore_release(&agent, one);
	CHECK(sandbox_has("k/job-1.key"));
	CHECK(sandbox_has("k/job-1.csr"));
	/* Another certificate's install, or an older one, says nothing. */
	enrol("job-2", "mc-2", 2000);
	enrol("job-3", "mc-1", 500);
	install("certver-2", "mc-2", site("two"));
	install("certver-3", "mc-1", site("three"));
	CHECK(sandbox_has("k/job-1.key"));
	CHECK(sandbox_has("k/job-1.csr"));
}

static void
what_came_to_nothing_goes_with_its_successor(void)
{
	const char *one;

	begin();
	one = site("one");
	enrol("job-1", "mc-1", 1000);
	enrol("job-2", "mc-1", 2000);
	CHECK_INT(keystore_hold(&agent, "certver-2", one), RC_OK);
	CHECK(mkdir(sandbox_path("one/v/certver-2"), 0755) == 0);
	enrol("job-3", "mc-1", 3000);
	install("certver-3", "mc-1", one);
	CHECK(!sandbox_has("k/job-1.key"));
	CHECK(!sandbox_has("k/job-1.csr"));
	CHECK(sandbox_has("k/job-2.key")); /* still stands in one/v */
	CHECK(!sandbox_has("k/job-2.csr"));
	prune("certver-2", one);
	CHECK(!sandbox_has("k/job-2.key"));
	CHECK_INT(sandbox_count("k"), 2);
}

/* A file system that is not mounted, say. */
static void
a_directory_that_is_away_loses_nothing(void)
{
	const char *one;

	begin();
	one = site("one");
	enrol("job-1", "mc-1", 1000);
	install("certver-1", "mc-1", one);
	CHECK(rename(one, sandbox_path("away")) == 0);
	keystore_release(&agent, one);
	CHECK(symlink("away", one) == 0);
	CHECK(sandbox_has("k/job-1.key"));
	CHECK(unlink(one) == 0);
	CHECK(rename(sandbox_path("away"), one) == 0);
	keystore_release(&agent, one);
	CHECK(sandbox_has("k/job-1.key"));
	prune("certver-1", one);
	CHECK_INT(sandbox_count("k"), 0);
}

/* What a crash between two steps leaves is found by the next install. */
static void
leftovers_of_a_crash_go(void)
{
	const char *one;

	begin();
	one = site("one");
	enrol("job-1", "mc-1", 1000);
	install("certver-1", "mc-1", one);
	CHECK(rmdir(sandbox_path("one/v/certver-1")) == 0);
	CHECK(unlink(sandbox_path("k/job-1.key")) == 0);
	enrol("job-2", "mc-1", 2000);
	install("certver-2", "mc-1", one);
	CHECK_INT(sandbox_count("k"), 2);
	CHECK(sandbox_has("k/job-2.key"));
}

static void
forgotten_is_gone(void)
{
	EVP_PKEY *key = NULL;

	begin();
	CHECK_INT(keystore_key(&agent, "job-1", &key), RC_OK);
	EVP_PKEY_free(key);
	CHECK_INT(keystore_mark(&agent, "job-1", "mc-1", "CSR"), RC_OK);
	keystore_forget(&agent, "job-1");
	CHECK_INT(sandbox_count("k"), 0);
	keystore_forget(&agent, "job-1");
	/* but not what stands somewhere */
	CHECK_INT(keystore_key(&agent, "job-1", &key), RC_OK);
	EVP_PKEY_free(key);
	CHECK_INT(keystore_hold(&agent, "certver-1", "/etc/site"), RC_OK);
	keystore_forget(&agent, "job-1");
	CHECK(sandbox_has("k/job-1.key"));
}

CHECK_MAIN(CHECK_ROW(a_job_has_one_key),
    CHECK_ROW(a_version_leads_to_its_jobs_key),
    CHECK_ROW(odd_jobs_make_no_file), CHECK_ROW(a_full_disk_leaves_nothing),
    CHECK_ROW(a_broken_key_is_an_error),
    CHECK_ROW(marks_tell_what_is_unfinished), CHECK_ROW(old_marks_hurry_nobody),
    CHECK_ROW(a_key_goes_with_its_last_version),
    CHECK_ROW(a_key_that_a_job_waits_for_stays),
    CHECK_ROW(what_came_to_nothing_goes_with_its_successor),
    CHECK_ROW(a_directory_that_is_away_loses_nothing),
    CHECK_ROW(leftovers_of_a_crash_go), CHECK_ROW(forgotten_is_gone))
