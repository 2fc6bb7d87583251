#include "common/migrate/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "code_gen.h"
#include "common/base/enc.h"
#include "common/migrate/migrate_files.h"
#include "common/policy/policy_sql.h"
#include "tests/unit/check.h"

static char dir[] = "/tmp/certctl-migrate-XXXXXX";

static void
put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	CHECK(f != NULL);
	CHECK(fputs(text, f) >= 0);
	CHECK(fclose(f) == 0);
}

static void
drop(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	CHECK(unlink(path) == 0);
}

static void
test_names(void)
{
	CHECK(migrate_name_is_valid("0001_core", 9));
	CHECK(migrate_name_is_valid("0042_a_b2", 9));
	CHECK(!migrate_name_is_valid("001_core", 8));
	CHECK(!migrate_name_is_valid("0001core", 8));
	CHECK(!migrate_name_is_valid("0001_", 5));
	CHECK(!migrate_name_is_valid("0001_Core", 9));
	CHECK(!migrate_name_is_valid("0001_../x", 9));
}

static void
test_list(void)
{
	struct migrate_names names = {0};

	CHECK(mkdtemp(dir) != NULL);
	CHECK_INT(migrate_list(dir, &names), RC_NOT_FOUND);
	CHECK_INT(migrate_list("/nowhere", &names), RC_IO);
	put("0002_b.up.sql", "SELECT 2");
	put("0001_a.up.sql", "SELECT 1");
	put("0001_a.down.sql", "SELECT -1");
	put("README.md", "");
	put("x_0003.up.sql", "");
	CHECK_INT(migrate_list(dir, &names), RC_OK);
	CHECK_INT(names.n, 2);
	CHECK_STR(names.items[0], "0001_a");
	CHECK_STR(names.items[1], "0002_b");
	migrate_names_fini(&names);
	put("0002_c.up.sql", "");
	CHECK_INT(migrate_list(dir, &names), RC_CONFLICT);
	CHECK_INT(names.n, 0);
	drop("0002_c.up.sql");
}

static void
test_read(void)
{
	char *text = NULL;

	CHECK_INT(migrate_read_file(dir, "0001_a", true, &text), RC_OK);
	CHECK_STR(text, "SELECT 1");
	free(text);
	CHECK_INT(migrate_read_file(dir, "0001_a", false, &text), RC_OK);
	CHECK_STR(text, "SELECT -1");
	free(text);
	CHECK_INT(migrate_read_file(dir, "0002_b", false, &text), RC_IO);
	CHECK_INT(migrate_read_file(dir, "../x", true, &text), RC_IO);
}

static void
test_clean(void)
{
	drop("0001_a.up.sql");
	drop("0001_a.down.sql");
	drop("0002_b.up.sql");
	drop("README.md");
	drop("x_0003.up.sql");
	CHECK(rmdir(dir) == 0);
}

/* A program must not start on a schema older than it was written for. */
static void
test_version_is_the_last_file(void)
{
	struct migrate_names names = {0};
	char *text = NULL;

	CHECK_INT(migrate_list(MIGRATIONS_DIR, &names), RC_OK);
	CHECK_STR(MIGRATE_SCHEMA_VERSION, names.items[names.n - 1]);
	for (size_t i = 0; i < names.n; i++) {
		/* Each can be reverted. */
		CHECK_INT(migrate_read_file(MIGRATIONS_DIR, names.items[i],
			      false, &text),
		    RC_OK);
		free(text);
	}
	migrate_names_fini(&names);
}

/* By name, whatever the directory's order; other files do not count. */
static void
test_code_is_read_in_order(void)
{
	char path[128], *text = NULL;

	(void)snprintf(path, sizeof(path), "%s/code", dir);
	CHECK(mkdir(dir, 0700) == 0);
	CHECK_INT(migrate_read_code(dir, &text), RC_IO);
	CHECK(mkdir(path, 0700) == 0);
	CHECK_INT(migrate_read_code(dir, &text), RC_NOT_FOUND);
	put("code/02_b.sql", "SELECT 2;\n");
	put("code/10_c.sql", "SELECT 3;\n");
	put("code/01_a.sql", "SELECT 1;\n");
	put("code/README.md", "");
	put("code/.03_d.sql", "");
	CHECK_INT(migrate_read_code(dir, &text), RC_OK);
	CHECK_STR(text, "SELECT 1;\nSELECT 2;\nSELECT 3;\n");
	free(text);
	drop("code/01_a.sql");
	drop("code/02_b.sql");
	drop("code/10_c.sql");
	drop("code/README.md");
	drop("code/.03_d.sql");
	CHECK(rmdir(path) == 0);
	CHECK(rmdir(dir) == 0);
}

/* The name made at build time is that of what the program holds, and then of
 * the files it reads. */
static void
test_code_schema_is_that_of_the_text(void)
{
	char hex[65], *files = NULL, *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CHECK(f != NULL);
	CHECK_INT(migrate_read_code(MIGRATIONS_DIR, &files), RC_OK);
	policy_sql(f);
	CHECK(fputs(files, f) >= 0 && fclose(f) == 0);
	enc_sha256_hex(text, len, hex);
	free(files);
	free(text);
	hex[12] = '\0';
	CHECK_STR(CODE_SCHEMA + strlen("certctl_"), hex);
}

CHECK_MAIN(CHECK_ROW(test_names), CHECK_ROW(test_list), CHECK_ROW(test_read),
    CHECK_ROW(test_clean), CHECK_ROW(test_version_is_the_last_file),
    CHECK_ROW(test_code_is_read_in_order),
    CHECK_ROW(test_code_schema_is_that_of_the_text))
