#include "common/db/url.h"

#include <string.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static void
what_is_clear_is_good(void)
{
	static const char *const good[] = {"postgresql://db/x",
	    "postgres://u@db1,db2:5433/x?target_session_attrs=any",
	    "postgresql://u:p%40%2F%3A%3F%25@db:5432/x",
	    "postgresql://u:a:b?c#d,e[@[2001:db8::1]:5432/x",
	    "postgresql://u:p@db1:5432,db2,db3:5433/x?application_name=a",
	    "postgresql:///x?host=/run/postgresql&user=u@server",
	    "postgresql://%2Frun%2Fpostgresql/x", "postgresql://",
	    "host=db port=5432,5433 user=u password='p@ss /word'",
	    "host=db user=u@server", ""};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(db_url_fault(good[i]) == NULL);
}

static void
what_may_be_part_of_a_password_is_not(void)
{
	static const char *const bad[] = {"postgresql://u:S3cr@t3s7@db/x",
	    "postgresql://u:S3cr/t3s7@db/x", "postgresql://u:S3cr@t3/s7@db/x",
	    "postgresql://u@corp:S3cr@db/x", "postgresql://u:S3cr@/t3s7@db/x",
	    "postgresql://u:S3cr@t?host=s7@db/x", "postgresql://u:S3cr",
	    "postgresql://u:S3cr/t3s7", "postgresql://db:0/x",
	    "postgresql://db:65536/x", "postgresql://db:000005432/x",
	    "postgresql://u:S3cr%t3s7@db/x", "postgresql://u:S3cr%00@db/x",
	    "postgresql://db/x?password=S3cr&t3s7", "postgresql://[::1/x",
	    "mysql://u:S3cr@db/x", "host=db password=S3cr t3s7",
	    "host=db password='S3cr", "port=S3cr", "S3cr"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = db_url_fault(bad[i]);

		CHECK(why && !strstr(why, "S3cr") && !strchr(why, '\n'));
	}
}

CHECK_MAIN(CHECK_ROW(what_is_clear_is_good),
    CHECK_ROW(what_may_be_part_of_a_password_is_not))
