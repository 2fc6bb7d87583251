#include "common/db/url.h"

#include <stdbool.h>
#include <string.h>

#include <libpq-fe.h>

#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/db/db_int.h"

#define ESCAPES "%40 for @, %2F for /, %3A for :, %3F for ? and %25 for %"

enum { PORT_MAX = 65535, PORT_DIGITS = 5 };

/* What follows "//"; NULL: it is no URI. */
static const char *
behind_scheme(const char *url)
{
	static const char *const schemes[] = {"postgresql://", "postgres://"};

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (strncmp(url, schemes[i], n) == 0)
			return url + n;
	}
	return NULL;
}

/*
 * libpq ends user and password at the first "@" that comes before a "/".  One
 * that follows in the hosts or the database's name is of neither; where there
 * is a password it may be that of the parameters as well.
 */
static bool
is_ambiguous(const char *rest)
{
	size_t n = strcspn(rest, "@/");
	bool has_user = rest[n] == '@';
	const char *hosts = has_user ? rest + n + 1 : rest;

	if (has_user && memchr(rest, ':', n))
		return strchr(hosts, '@') != NULL;
	return memchr(hosts, '@', strcspn(hosts, "?")) != NULL;
}

/* Comma separated, each of them may be empty. */
static bool
are_ports(const char *list)
{
	for (;;) {
		size_t n = strcspn(list, ",");
		char text[PORT_DIGITS + 1] = "";
		int64_t port;

		if (n > PORT_DIGITS)
			return false;
		memcpy(text, list, n);
		if (n > 0 && enc_parse_i64(text, 1, PORT_MAX, &port) != RC_OK)
			return false;
		if (list[n] == '\0')
			return true;
		list += n + 1;
	}
}

static bool
has_ports(const PQconninfoOption *all)
{
	for (; all->keyword; all++) {
		if (strcmp(all->keyword, "port") == 0 && all->val)
			return are_ports(all->val);
	}
	return true;
}

void
db_url_forget(PQconninfoOption *all)
{
	for (PQconninfoOption *o = all; o && o->keyword; o++) {
		if (o->val && o->dispchar && o->dispchar[0] == '*')
			mem_wipe(o->val, strlen(o->val));
	}
	PQconninfoFree(all);
}

const char *
db_url_fault(const char *url)
{
	const char *rest = behind_scheme(url);
	PQconninfoOption *all;
	bool is_good;

	if (rest && is_ambiguous(rest))
		return "where its password or user name ends is not clear: in "
		       "these write " ESCAPES;
	all = PQconninfoParse(url, NULL);
	if (!all)
		return "it is neither postgresql://user:password@host/database "
		       "nor key=value pairs; in a password write " ESCAPES;
	is_good = has_ports(all);
	db_url_forget(all);
	return is_good ? NULL
		       : "its port is no number from 1 to 65535; if that is "
			 "part of a password, write there " ESCAPES;
}
