/*
 * test_confs: what configuration files of nginx, Apache and HAProxy say of
 * certificates; crontabs and units; lines of keys and values.
 */
#include "cli/import/confs.h"
#include "cli/import/import.h"
#include "cli/import/pairs.h"
#include "cli/import/renewals.h"
#include "cli/import/words.h"
#include "common/base/buf.h"
#include "tests/unit/check.h"

static struct arena *arena;
static char told[4096];

static const char *
or_none(const char *text)
{
	return text ? text : "-";
}

static void
tell(void *arg, const struct import_use *u)
{
	size_t n = strlen(told);

	(void)arg;
	(void)snprintf(told + n, sizeof(told) - n, "%zu %s %s %s %s %d\n",
	    u->line, u->cert_path, or_none(u->key_path),
	    or_none(u->server_name), or_none(u->address), u->port);
}

static const char *
uses(confs_reader *read, const char *text)
{
	told[0] = '\0';
	arena_free(arena);
	arena = arena_new();
	read(arena, "conf", "/etc/x", text, strlen(text), tell, NULL);
	return told;
}

static void
nginx_servers_are_told_of_with_name_and_port(void)
{
	CHECK_STR(uses(confs_nginx,
		      "http {\n  server {\n    listen 80;\n"
		      "    listen 443 ssl; # the one\n"
		      "    ssl_certificate \"/a/full chain.pem\";\n"
		      "    ssl_certificate_key\n      /a/key.pem;\n"
		      "    server_name *.x.test _ www.x.test;\n  }\n"
		      "  server { listen 127.0.0.1:8443 ssl http2;\n"
		      "    ssl_certificate b.pem; ssl_certificate_key b.key;\n"
		      "    location / { return 200 'a;b{c}'; } }\n}\n"),
	    "5 /a/full chain.pem /a/key.pem www.x.test - 443\n"
	    "11 /etc/x/b.pem /etc/x/b.key - 127.0.0.1 8443\n");
}

static void
nginx_pairs_and_snippets_are_told_of(void)
{
	CHECK_STR(uses(confs_nginx,
		      "ssl_certificate /a/rsa.pem;\nssl_certificate_key "
		      "/a/rsa.key;\nssl_certificate /a/ec.pem;\n"
		      "ssl_certificate_key /a/ec.key;"),
	    "1 /a/rsa.pem /a/rsa.key - - 0\n3 /a/ec.pem /a/ec.key - - 0\n");
	CHECK_STR(uses(confs_nginx, "ssl_certificate $ssl_name;"
				    "ssl_certificate data:$x;"
				    "#ssl_certificate /a/b;\n"),
	    "");
	/* What is cut off is told of as far as it is there. */
	CHECK_STR(uses(confs_nginx, "server { ssl_certificate /a/b; listen"),
	    "1 /a/b - - - 0\n");
	CHECK_STR(uses(confs_nginx, "}}} ; { \"open"), "");
	CHECK_STR(uses(confs_nginx,
		      "map ${a} $b { x '${c}'; }\nssl_certificate /a/b;"),
	    "2 /a/b - - - 0\n");
}

static void
apache_hosts_are_told_of(void)
{
	CHECK_STR(uses(confs_apache,
		      "<VirtualHost *:443>\n  ServerName a.test:443\n"
		      "  sslcertificatefile /a/c.pem\n"
		      "  SSLCertificateKeyFile \\\n   \"/a/k.pem\"\n"
		      "</VirtualHost>\nSSLCertificateFile rel.pem\n"),
	    "3 /a/c.pem /a/k.pem a.test - 443\n"
	    "7 /etc/x/rel.pem - - - 0\n");
	CHECK_STR(uses(confs_apache, "SSLCertificateFile ${DIR}/a\n"), "");
}

static void
haproxy_binds_are_told_of(void)
{
	CHECK_STR(uses(confs_haproxy,
		      "global\n  crt-base /b\nfrontend x\n"
		      "  bind :443 ssl crt /a/all.pem crt two.pem alpn h2\n"
		      "  # bind :1 ssl crt /c\n"),
	    "4 /a/all.pem - - - 443\n4 /b/two.pem - - - 443\n");
	CHECK_STR(uses(confs_haproxy, "bind\nbind :1 ssl crt"), "");
}

static void
pairs_are_read_with_sections_and_quotes(void)
{
	static const char text[] = "# a = b\nversion = 2.1\n"
				   " Le_Alt='a.test,b.test'\n[one]\r\n"
				   "server = https://x/?a=b \r\n"
				   "[[map]]\nempty =\nno pair\nversion = 3";
	struct pairs p;

	arena_free(arena);
	arena = arena_new();
	pairs_read(arena, text, strlen(text), &p);
	CHECK_INT(p.n, 5);
	CHECK_STR(pairs_value(&p, "version"), "3");
	CHECK_STR(pairs_value(&p, "Le_Alt"), "a.test,b.test");
	CHECK_STR(pairs_value(&p, "server"), "https://x/?a=b");
	CHECK_STR(pairs_value(&p, "empty"), "");
	CHECK_STR(p.all[2].section, "one");
	CHECK_STR(p.all[3].section, "map");
	CHECK(!pairs_value(&p, "a"));
}

static void
what_runs_a_tool_is_found_by_its_name(void)
{
	static const char cron[] =
	    "# certbot\nSHELL=/bin/sh\n0 */12 * * * root perl -e 1 && certbot "
	    "-q renew\n";
	size_t line = 0;

	CHECK(renewals_line(arena, cron, strlen(cron), "certbot", &line));
	CHECK_INT(line, 3);
	CHECK(!renewals_line(arena, cron, strlen(cron), "lego", &line));
	CHECK(!renewals_line(arena, "x legolas\n", 10, "lego", &line));
	CHECK(renewals_line(arena, "/opt/lego", 9, "lego", &line));
}

static void
words_become_ids_and_shell_words(void)
{
	char longer[300];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CHECK_STR(words_id(arena, "mc-", "*.X.test"), "mc-wildcard.x.test");
	CHECK_STR(words_id(arena, "mc-", "a b/\xc3\xa9"), "mc-a-b---");
	CHECK_INT(strlen(words_id(arena, "mc-", longer)), 100);
	longer[298] = 'b';
	CHECK(strcmp(words_id(arena, "mc-", longer),
		  words_id(arena, "mc-", "aaa")) != 0);
	CHECK_STR(words_shell(arena, "/a/b.conf"), "/a/b.conf");
	CHECK_STR(words_shell(arena, "a 'b'"), "'a '\\''b'\\'''");
	CHECK_STR(words_shell(arena, ""), "''");
}

CHECK_MAIN(CHECK_ROW(nginx_servers_are_told_of_with_name_and_port),
    CHECK_ROW(nginx_pairs_and_snippets_are_told_of),
    CHECK_ROW(apache_hosts_are_told_of), CHECK_ROW(haproxy_binds_are_told_of),
    CHECK_ROW(pairs_are_read_with_sections_and_quotes),
    CHECK_ROW(what_runs_a_tool_is_found_by_its_name),
    CHECK_ROW(words_become_ids_and_shell_words))
