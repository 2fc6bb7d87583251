/*
 * test_journal: what an install was about to do survives, or is known broken.
 */
#include "agent/journal.h"

#include <string.h>
#include <unistd.h>

#include "agent/files.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

static struct arena *a;
static struct agent agent;

static const struct install_journal sample = {
    .job = "job-1",
    .certificate = "mc-1",
    .target = "tgt-1",
    .type = "NGINX",
    .common_name = "a.example.test",
    .version = "certver-1",
    .fingerprint = "ab",
    .previous = "v/certver-0",
    .config = "{\"cert_path\":\"/c \\\"q\\\"\",\"port\":1}",
};

static void
begin(void)
{
	if (agent.journal_dir_fd > 0)
		close(agent.journal_dir_fd);
	a = sandbox_new();
	agent.journal_dir_fd = sandbox_dir_fd("j");
}

static void
what_was_written_is_read(void)
{
	struct install_journal j;

	begin();
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_NOT_FOUND);
	CHECK_INT(install_journal_write(&agent, &sample), RC_OK);
	CHECK_INT(sandbox_mode("j/tgt-1.json"), 0600);
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_OK);
	CHECK_STR(j.job, sample.job);
	CHECK_STR(j.certificate, sample.certificate);
	CHECK_STR(j.target, sample.target);
	CHECK_STR(j.type, sample.type);
	CHECK_STR(j.common_name, sample.common_name);
	CHECK_STR(j.version, sample.version);
	CHECK_STR(j.fingerprint, sample.fingerprint);
	CHECK_STR(j.previous, sample.previous);
	CHECK_STR(j.config, sample.config);
}

static void
revoked_is_remembered_and_absent_is_unknown(void)
{
	static const char old[] =
	    "{\"job\":\"j\",\"certificate\":\"c\",\"target\":\"tgt-1\","
	    "\"type\":\"NGINX\",\"common_name\":\"a\",\"version\":\"v\","
	    "\"fingerprint\":\"ab\",\"previous\":\"v/x\",\"config\":{}}";
	static const char bad[] =
	    "{\"job\":\"j\",\"certificate\":\"c\",\"target\":\"tgt-1\","
	    "\"type\":\"NGINX\",\"common_name\":\"a\",\"version\":\"v\","
	    "\"fingerprint\":\"ab\",\"previous\":\"v/x\",\"config\":{},"
	    "\"previous_revoked\":\"no\"}";
	struct install_journal j = sample;

	begin();
	j.is_previous_revoked = j.is_loaded = true;
	CHECK_INT(install_journal_write(&agent, &j), RC_OK);
	j.is_previous_revoked = j.is_loaded = false;
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_OK);
	CHECK(j.is_previous_revoked && j.is_loaded);
	CHECK_INT(files_write(agent.journal_dir_fd, "tgt-1.json", old,
		      sizeof(old) - 1, 0600),
	    RC_OK);
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_OK);
	CHECK(!j.is_previous_revoked && !j.is_loaded);
	CHECK_INT(files_write(agent.journal_dir_fd, "tgt-1.json", bad,
		      sizeof(bad) - 1, 0600),
	    RC_OK);
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_INVALID);
}

static void
a_first_install_has_no_previous(void)
{
	struct install_journal j = sample;

	begin();
	j.previous = "";
	CHECK_INT(install_journal_write(&agent, &j), RC_OK);
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_OK);
	CHECK_STR(j.previous, "");
}

static void
cleared_is_gone(void)
{
	struct install_journal j;

	begin();
	CHECK_INT(install_journal_write(&agent, &sample), RC_OK);
	install_journal_clear(&agent, "tgt-1");
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_NOT_FOUND);
	install_journal_clear(&agent, "tgt-1");
	install_journal_clear(&agent, "../tgt-1");
	CHECK_INT(sandbox_count("j"), 0);
}

static void
broken_ones_are_invalid(void)
{
	static const char *const bad[] = {"", "{", "[]", "{}",
	    "{\"job\":\"j\"}",
	    "{\"job\":1,\"certificate\":\"c\",\"target\":\"t\",\"type\":\"N\","
	    "\"common_name\":\"\",\"version\":\"v\",\"fingerprint\":\"f\","
	    "\"previous\":\"\",\"config\":{}}",
	    "{\"job\":\"j\",\"certificate\":\"c\",\"target\":\"t\","
	    "\"type\":\"N\",\"common_name\":\"\",\"version\":\"v\","
	    "\"fingerprint\":\"f\",\"previous\":\"\"}"};
	struct install_journal j;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		sandbox_put("j/tgt-1.json", bad[i]);
		CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j),
		    RC_INVALID);
	}
}

static void
odd_targets_make_no_file(void)
{
	static const char *const bad[] = {"", ".", "..", ".x", "a/b", "../x"};
	struct install_journal j = sample;
	char longest[130];

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		j.target = bad[i];
		CHECK_INT(install_journal_write(&agent, &j), RC_INVALID);
		CHECK_INT(install_journal_read(&agent, a, bad[i], &j),
		    RC_INVALID);
	}
	memset(longest, 't', 129);
	longest[129] = '\0';
	j = sample;
	j.target = longest;
	CHECK_INT(install_journal_write(&agent, &j), RC_INVALID);
	longest[128] = '\0';
	CHECK_INT(install_journal_write(&agent, &j), RC_OK);
	CHECK_INT(sandbox_count("j"), 1);
}

static void
a_full_disk_keeps_the_old_one(void)
{
	struct install_journal j = sample;
	char config[9000];
	rc ret;

	begin();
	CHECK_INT(install_journal_write(&agent, &sample), RC_OK);
	memset(config, ' ', sizeof(config) - 1);
	memcpy(config, "{\"x\":", 5);
	config[sizeof(config) - 3] = '1';
	config[sizeof(config) - 2] = '}';
	config[sizeof(config) - 1] = '\0';
	j.config = config;
	j.version = "certver-2";
	sandbox_limit_writes(2000);
	ret = install_journal_write(&agent, &j);
	sandbox_limit_writes(0);
	CHECK_INT(ret, RC_IO);
	CHECK_INT(sandbox_count("j"), 1);
	CHECK_INT(install_journal_read(&agent, a, "tgt-1", &j), RC_OK);
	CHECK_STR(j.version, "certver-1");
}

static void
all_open_ones_are_listed(void)
{
	struct install_journal j = sample;
	const char **all;
	size_t n;

	begin();
	CHECK(!install_journal_list(&agent, a)[0]);
	CHECK_INT(install_journal_write(&agent, &sample), RC_OK);
	j.target = "tgt-2";
	CHECK_INT(install_journal_write(&agent, &j), RC_OK);
	sandbox_put("j/tgt-3.json.tmp", "of a run that was cut off");
	sandbox_put("j/.json", "no name");
	all = install_journal_list(&agent, a);
	for (n = 0; all[n]; n++)
		CHECK(strcmp(all[n], "tgt-1") == 0 ||
		      strcmp(all[n], "tgt-2") == 0);
	CHECK_INT(n, 2);
}

CHECK_MAIN(CHECK_ROW(what_was_written_is_read),
    CHECK_ROW(revoked_is_remembered_and_absent_is_unknown),
    CHECK_ROW(cleared_is_gone), CHECK_ROW(a_first_install_has_no_previous),
    CHECK_ROW(broken_ones_are_invalid), CHECK_ROW(odd_targets_make_no_file),
    CHECK_ROW(a_full_disk_keeps_the_old_one),
    CHECK_ROW(all_open_ones_are_listed))
