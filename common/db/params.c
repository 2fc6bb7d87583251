/*
 * The connection parameters of a pool: what the operator's URL says, and what
 * every session of ours needs on top of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "code_gen.h" /* CODE_SCHEMA, made by tools/codeschema.py */
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/db/db_int.h"
#include "common/db/url.h"
#include "common/log/log.h"

enum { ENV_NAME_MAX = 64, CONNECT_TIMEOUT_MAX_S = 3600 };

/* Of every session, besides the time limit of its statements. */
static const struct db_setting settings_all[] = {
    {"idle_in_transaction_session_timeout", "60000"},
    {"search_path", CODE_SCHEMA ",public,pg_temp"},
    {"jit", "off"},
    {"TimeZone", "UTC"},
    {"DateStyle", "ISO"},
};

const struct db_setting db_walk_ids[] = {
    {"enable_hashjoin", "off"},
    {"enable_mergejoin", "off"},
    {"enable_seqscan", "off"},
    {NULL, NULL},
};

/* Used where the URL says nothing. */
static const struct {
	const char *key, *value;
} params_defaults[] = {
    /* A peer that vanished without a word is noticed in seconds. */
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},
    /* Asking for a Kerberos ticket can block. */
    {"gssencmode", "disable"},
};

static void
drop_environment(void)
{
	char name[ENV_NAME_MAX];
	size_t len;

	/* unsetenv moves what follows into the place of what it removes. */
	for (char **e = environ; e && *e;) {
		len = strcspn(*e, "=");
		if (strncmp(*e, "PG", 2) != 0 || len >= sizeof(name)) {
			e++;
			continue;
		}
		memcpy(name, *e, len);
		name[len] = '\0';
		if (unsetenv(name) < 0)
			e++;
	}
}

const char *
db_params_get(const struct db_pool *p, const char *key)
{
	for (size_t i = 0; p->keys[i]; i++) {
		if (strcmp(p->keys[i], key) == 0)
			return p->values[i];
	}
	return NULL;
}

static rc
put(struct db_pool *p, const char *key, const char *value)
{
	size_t n = 0;

	while (p->keys[n] && strcmp(p->keys[n], key) != 0)
		n++;
	/* Three are kept free for the host of connect.c. */
	if (n + 3 >= DB_PARAMS_MAX)
		return RC_INVALID;
	p->keys[n] = key;
	p->values[n] = value;
	return RC_OK;
}

/* Told to each session by SET, not by the start-up packet: a pooler refuses
 * that, or drops it without a word.  They win over the URL's own options. */
static void
put_settings(struct db_pool *p, const struct db_opts *opts)
{
	const char *names[DB_SETTINGS_MAX], *values[DB_SETTINGS_MAX];
	struct arena *a = arena_new();
	size_t n = 0;

	names[n] = "statement_timeout";
	values[n++] = arena_printf(a, "%" PRId64, p->statement_timeout_ms);
	names[n] = "lock_timeout";
	values[n++] = arena_printf(a, "%" PRId64, opts->lock_timeout_ms);
	for (size_t i = 0; i < ARRAY_LEN(settings_all); i++) {
		names[n] = settings_all[i].name;
		values[n++] = settings_all[i].value;
	}
	/* A closed connection ends its statement so soon, as no request for
	 * a cancellation does without another connection. */
	if (opts->ends_forgotten) {
		names[n] = "client_connection_check_interval";
		values[n++] = "1s";
	}
	for (const struct db_setting *s = opts->settings; s && s->name; s++) {
		if (n >= DB_SETTINGS_MAX)
			log_fatal("DB-SETTINGS", "too many for a session");
		names[n] = s->name;
		values[n++] = s->value;
	}
	p->nsettings = n;
	p->setting_names = mem_strdup(db_text_array(a, names, n));
	p->setting_values = mem_strdup(db_text_array(a, values, n));
	arena_free(a);
}

/* --- hosts --- */

/* How many entries a comma list has; an empty one counts as one. */
static size_t
count(const char *list)
{
	size_t n = 1;

	for (const char *p = list; *p; p++)
		n += *p == ',';
	return n;
}

/* The entry at this place, of a list that may be one for all; NULL for none
 * or an empty one. */
static char *
entry(const char *list, size_t at, size_t n)
{
	size_t len;

	if (!list)
		return NULL;
	for (size_t i = 0; n > 1 && i < at; i++)
		list += strcspn(list, ",") + 1;
	len = strcspn(list, ",");
	return len > 0 ? mem_strndup(list, len) : NULL;
}

/* As libpq pairs them: an address for each host, one port for all or each. */
static rc
read_hosts(struct db_pool *p, const char *hosts, const char *addrs,
    const char *ports)
{
	size_t nhosts = hosts ? count(hosts) : 0;
	size_t naddrs = addrs ? count(addrs) : 0;
	size_t nports = ports ? count(ports) : 0;
	size_t n = nhosts > naddrs ? nhosts : naddrs;

	if (n < 1)
		n = 1;
	if ((hosts && addrs && nhosts != naddrs) || n > DB_HOSTS_MAX ||
	    (nports > 1 && nports != n))
		return RC_INVALID;
	for (size_t i = 0; i < n; i++) {
		p->hosts[i].host = entry(hosts, i, nhosts);
		p->hosts[i].addr = entry(addrs, i, naddrs);
		p->hosts[i].port = entry(ports, i, nports);
	}
	p->nhosts = n;
	return RC_OK;
}

/* Every session must be able to write; where there is a choice, libpq looks
 * whether it is.  A standby is never what is wanted. */
static rc
check_session_attrs(struct db_pool *p)
{
	static const char *const fit[] = {"any", "read-write", "primary"};
	const char *attrs = db_params_get(p, "target_session_attrs");

	if (!attrs)
		return p->nhosts > 1 && !p->is_plain
			   ? put(p, "target_session_attrs", "read-write")
			   : RC_OK;
	for (size_t i = 0; i < ARRAY_LEN(fit); i++) {
		if (strcmp(attrs, fit[i]) == 0)
			return RC_OK;
	}
	return RC_INVALID;
}

/* Seconds in the URL; libpq takes what is not positive for no limit. */
static void
read_connect_timeout(struct db_pool *p, const struct db_opts *opts)
{
	const char *text = db_params_get(p, "connect_timeout");
	long seconds = text ? strtol(text, NULL, 10) : 0;

	p->connect_timeout_ms = opts->connect_timeout_ms > 0
				    ? opts->connect_timeout_ms
				    : DB_CONNECT_MS;
	if (seconds > 0 && seconds <= CONNECT_TIMEOUT_MAX_S)
		p->connect_timeout_ms = seconds * 1000;
}

/* --- all of it --- */

/* The URL's, but for those that connect.c gives one by one. */
static rc
read_url(struct db_pool *p)
{
	const char *hosts = NULL, *addrs = NULL, *ports = NULL;
	rc ret = RC_OK;

	for (PQconninfoOption *o = p->url; o->keyword && ret == RC_OK; o++) {
		if (!o->val || !o->val[0])
			continue;
		if (strcmp(o->keyword, "host") == 0)
			hosts = o->val;
		else if (strcmp(o->keyword, "hostaddr") == 0)
			addrs = o->val;
		else if (strcmp(o->keyword, "port") == 0)
			ports = o->val;
		else
			ret = put(p, o->keyword, o->val);
	}
	if (ret == RC_OK)
		ret = read_hosts(p, hosts, addrs, ports);
	return ret == RC_OK ? check_session_attrs(p) : ret;
}

rc
db_params_init(struct db_pool *p, const struct db_opts *opts)
{
	rc ret;

	if (opts->ignore_env)
		drop_environment();
	if (db_url_fault(opts->url))
		return RC_INVALID;
	p->url = PQconninfoParse(opts->url, NULL);
	if (!p->url)
		return RC_INVALID; /* the text would quote the URL */
	ret = read_url(p);
	read_connect_timeout(p, opts);
	for (size_t i = 0; i < ARRAY_LEN(params_defaults); i++) {
		const char *key = params_defaults[i].key;

		if (ret == RC_OK && !db_params_get(p, key))
			ret = put(p, key, params_defaults[i].value);
	}
	put_settings(p, opts);
	p->application_name = mem_strdup(
	    opts->application_name ? opts->application_name : "certctl");
	if (ret == RC_OK)
		ret = put(p, "application_name", p->application_name);
	if (ret == RC_OK)
		ret = put(p, "client_encoding", "UTF8");
	return ret;
}

void
db_params_fini(struct db_pool *p)
{
	db_url_forget(p->url);
	for (size_t i = 0; i < p->nhosts; i++) {
		free(p->hosts[i].host);
		free(p->hosts[i].addr);
		free(p->hosts[i].port);
	}
	free(p->setting_names);
	free(p->setting_values);
	free(p->application_name);
}
