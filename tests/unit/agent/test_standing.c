/*
 * test_standing: what stands at the paths and is no pair of two plain files
 * is refused with words, and stays what it was.
 */
#include "agent/standing.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

#define FAR_AWAY 4000000000
#define MANY 10000

static struct arena *a;
static struct install_paths p;
static const char *why, *cert, *key;

/* Certificate and key at the two paths. */
static void
begin(void)
{
	a = sandbox_new();
	why = "";
	CHECK(mkdir(sandbox_path("etc"), 0755) == 0);
	CHECK_INT(install_paths_of(a, sandbox_path("etc/site.crt"),
		      sandbox_path("etc/site.key"), NULL, &p, &why),
	    RC_OK);
	sandbox_pair(FAR_AWAY, &cert, &key);
	sandbox_put("etc/site.crt", cert);
	sandbox_put("etc/site.key", key);
}

static void
without(const char *name)
{
	begin();
	CHECK(unlink(sandbox_path(name)) == 0);
}

/* Nothing of the agent's is there, and the words say what is wrong. */
static void
is_refused(const char *words)
{
	size_t n = sandbox_count("etc");

	CHECK_INT(install_check(a, &p, &why), RC_INVALID);
	CHECK_INT(install_adopt(a, &p, &why), RC_INVALID);
	if (!strstr(why, words))
		CHECK_STR(why, words);
	CHECK_INT(sandbox_count("etc"), n);
	CHECK(!sandbox_has("etc/.certctl-site.crt"));
}

static void
make_socket(const char *path)
{
	struct sockaddr_un u = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	snprintf(u.sun_path, sizeof(u.sun_path), "%s", path);
	CHECK(bind(fd, (struct sockaddr *)&u, sizeof(u)) == 0);
	close(fd);
}

static void
what_only_looks_like_a_file_is_refused(void)
{
	static const char *const names[] = {"etc/site.crt", "etc/site.key"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		without(names[i]);
		CHECK(mkfifo(sandbox_path(names[i]), 0600) == 0);
		is_refused("no regular file");
		without(names[i]);
		CHECK(mkdir(sandbox_path(names[i]), 0755) == 0);
		is_refused("no regular file");
		without(names[i]);
		make_socket(sandbox_path(names[i]));
		is_refused("no regular file");
		without(names[i]);
		CHECK(symlink("/dev/zero", sandbox_path(names[i])) == 0);
		is_refused("no regular file");
		CHECK_STR(sandbox_link(names[i]), "/dev/zero");
		without(names[i]);
		CHECK(symlink("nowhere", sandbox_path(names[i])) == 0);
		is_refused("leads nowhere");
		without(names[i]);
		CHECK(symlink("site.crt", sandbox_path("etc/loop")) == 0);
		CHECK(symlink("loop", sandbox_path(names[i])) == 0);
		if (i == 0)
			is_refused("Too many levels");
		else /* which leads to the certificate */
			is_refused("no private key");
	}
}

static void
what_is_too_large_is_refused(void)
{
	size_t n;
	char *many;
	int fd;

	begin();
	n = strlen(cert);
	many = malloc(n * MANY + 1);
	CHECK(many);
	for (size_t i = 0; i < MANY; i++)
		memcpy(many + i * n, cert, n + 1);
	sandbox_put("etc/site.crt", many);
	is_refused("larger than 262144 bytes");
	/* what fits is taken, however many it holds */
	many[n * (262144 / n)] = '\0';
	sandbox_put("etc/site.crt", many);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(install_back(a, &p, "v/adopted", &why), RC_OK);
	free(many);
	/* and one with a hole of a terabyte */
	begin();
	fd = open(sandbox_path("etc/site.key"), O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, 1LL << 40) == 0);
	close(fd);
	is_refused("larger than 262144 bytes");
}

static void
odd_bytes_are_refused(void)
{
	static const char *const odd[] = {"", "\n",
	    "-----BEGIN CERTIFICATE-----",
	    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	    "\xff\xfe\x01"};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		begin();
		sandbox_put("etc/site.crt", odd[i]);
		is_refused("is no certificate");
		CHECK_STR(sandbox_get("etc/site.crt"), odd[i]);
		begin();
		sandbox_put("etc/site.key", odd[i]);
		is_refused("is no private key");
		CHECK_STR(sandbox_get("etc/site.key"), odd[i]);
	}
}

/* Certificate and key in one file, at both paths or at one. */
static void
a_combined_file_stays_when_the_other_path_is_mistyped(void)
{
	const char *both;

	without("etc/site.key");
	both = arena_printf(a, "%s%s", cert, key);
	sandbox_put("etc/site.crt", both);
	is_refused("there is no pair to go back to");
	CHECK_STR(sandbox_get("etc/site.crt"), both);
	CHECK(!sandbox_link("etc/site.crt"));
}

/* The other name of the file keeps what it holds, also after a success. */
static void
other_names_of_a_file_are_left_alone(void)
{
	struct secret *pem;
	const char *new_cert, *new_key;
	struct stat st;

	begin();
	CHECK(link(sandbox_path("etc/site.key"), sandbox_path("other")) == 0);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(install_back(a, &p, "v/adopted", &why), RC_OK);
	CHECK(stat(sandbox_path("etc/site.key"), &st) == 0);
	CHECK_INT(st.st_nlink, 2);
	sandbox_pair(FAR_AWAY, &new_cert, &new_key);
	pem = secret_new(new_key, strlen(new_key));
	CHECK_INT(install_stage(a, &p, "certver-1", new_cert, pem, &why),
	    RC_OK);
	secret_free(pem);
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(install_switch(a, &p, "v/certver-1", &why), RC_OK);
	install_settle(a, &p);
	CHECK_STR(sandbox_get("etc/site.key"), new_key);
	CHECK_STR(sandbox_get("other"), key);
}

/* A removal that was cut off leaves half of a version. */
static void
half_a_version_is_made_whole(void)
{
	struct secret *pem;

	begin();
	pem = secret_new(key, strlen(key));
	CHECK_INT(install_stage(a, &p, "certver-1", cert, pem, &why), RC_OK);
	CHECK(unlink(sandbox_path(
		  "etc/.certctl-site.crt/v/certver-1/privkey.pem")) == 0);
	CHECK_INT(install_stage(a, &p, "certver-1", cert, pem, &why), RC_OK);
	secret_free(pem);
	CHECK_STR(sandbox_get("etc/.certctl-site.crt/v/certver-1/privkey.pem"),
	    key);
	/* with a file of somebody's in it, it is neither removed nor used */
	CHECK(unlink(sandbox_path(
		  "etc/.certctl-site.crt/v/certver-1/privkey.pem")) == 0);
	sandbox_put("etc/.certctl-site.crt/v/certver-1/notes", "THEIRS");
	pem = secret_new(key, strlen(key));
	CHECK_INT(install_stage(a, &p, "certver-1", cert, pem, &why), RC_IO);
	secret_free(pem);
	CHECK_STR(sandbox_get("etc/.certctl-site.crt/v/certver-1/notes"),
	    "THEIRS");
}

/* The link of a lesser user may lead to a file that only root reads: what is
 * made of it looks as it does, never as another that is put there later. */
static void
a_copy_looks_as_what_was_read(void)
{
	struct standing t;
	struct spots s;

	begin();
	CHECK(
	    rename(sandbox_path("etc/site.key"), sandbox_path("secret")) == 0);
	CHECK(chmod(sandbox_path("secret"), 0600) == 0);
	CHECK(symlink("../secret", sandbox_path("etc/site.key")) == 0);
	CHECK_INT(spots_open(a, &p, &s, &why), RC_OK);
	CHECK_INT(standing_read(a, &p, &s, &t, &why), RC_OK);
	CHECK(unlink(sandbox_path("etc/site.key")) == 0);
	sandbox_put("etc/site.key", "PUBLIC");
	CHECK(chmod(sandbox_path("etc/site.key"), 0666) == 0);
	CHECK_INT(install_write_version(a, &p, "adopted", &t.pair, &why),
	    RC_OK);
	CHECK_INT(sandbox_mode("etc/.certctl-site.crt/v/adopted/privkey.pem"),
	    0600);
	CHECK_STR(sandbox_get("etc/.certctl-site.crt/v/adopted/privkey.pem"),
	    key);
	standing_wipe(&t);
	spots_close(&s);
}

/* Whoever edits targets does not get to read the host's keys. */
static void
a_copy_never_looks_as_the_target_says(void)
{
	struct secret *pem;

	begin();
	CHECK(chmod(sandbox_path("etc/site.key"), 0600) == 0);
	p.key.mode = 0644;
	if (geteuid() == 0)
		p.key.owner = "65534";
	CHECK_INT(install_adopt(a, &p, &why), RC_OK);
	CHECK_INT(sandbox_mode("etc/.certctl-site.crt/v/adopted/privkey.pem"),
	    0600);
	pem = secret_new(key, strlen(key));
	CHECK_INT(install_stage(a, &p, "certver-1", cert, pem, &why), RC_OK);
	secret_free(pem);
	CHECK_INT(sandbox_mode("etc/.certctl-site.crt/v/certver-1/privkey.pem"),
	    0644);
}

CHECK_MAIN(CHECK_ROW(what_only_looks_like_a_file_is_refused),
    CHECK_ROW(what_is_too_large_is_refused), CHECK_ROW(odd_bytes_are_refused),
    CHECK_ROW(a_combined_file_stays_when_the_other_path_is_mistyped),
    CHECK_ROW(other_names_of_a_file_are_left_alone),
    CHECK_ROW(half_a_version_is_made_whole),
    CHECK_ROW(a_copy_looks_as_what_was_read),
    CHECK_ROW(a_copy_never_looks_as_the_target_says))
