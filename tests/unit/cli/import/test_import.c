/*
 * test_import: directories as each tool keeps them, the plan that is made of
 * them, and what the server is asked for.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/import/import.h"
#include "cli/import/plan.h"
#include "cli/import/readers.h"
#include "cli/import/renewals.h"
#include "cli/import/servers.h"
#include "common/base/buf.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"
#include "tests/unit/common/bus/testcert.h"

#define IDS " --owner-id o-1 --team-id t-1 --issuer-id iss-1 --agent-id ag-1"

static char dir[64];
static struct arena *arena;
static struct import im;

/* --- a host --- */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
remove_all(void)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* dir/path, its directories made. */
static const char *
place(const char *path)
{
	char *full = arena_printf(arena, "%s/%s", dir, path);

	for (char *p = full + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		(void)mkdir(full, 0700); /* may be there */
		*p = '/';
	}
	return full;
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(place(path), "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

/* cert and key, for the name. */
static void
issue(const char *name, const char *cert, const char *key)
{
	struct testca *ca = testca_new("Test CA", place("ca.pem"));

	if (!testca_issue(ca, name, place(cert), place(key)))
		abort();
	testca_free(ca);
}

static void
begin(void)
{
	if (dir[0])
		remove_all();
	else
		(void)atexit(remove_all);
	(void)snprintf(dir, sizeof(dir), "/tmp/certctl-import-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	arena_free(arena);
	arena = arena_new();
	import_init(&im, arena);
}

static const struct import_found *
read_host(const char *path)
{
	CHECK(readers_read(&im, arena_printf(arena, "%s/%s", dir, path)));
	plan_merge(&im);
	servers_find(&im, arena_printf(arena, "%s/etc", dir));
	renewals_find(&im, arena_printf(arena, "%s/etc", dir));
	return im.found;
}

static void
make_certbot(void)
{
	issue("a.test", "etc/letsencrypt/archive/a.test/fullchain1.pem",
	    "etc/letsencrypt/archive/a.test/privkey1.pem");
	(void)place("etc/letsencrypt/live/a.test/x");
	if (symlink("../../archive/a.test/fullchain1.pem",
		place("etc/letsencrypt/live/a.test/fullchain.pem")) != 0)
		abort();
	write_file("etc/letsencrypt/renewal/a.test.conf",
	    "renew_before_expiry = 20 days\nversion = 2.1.0\n"
	    "fullchain = /nowhere/fullchain.pem\n[renewalparams]\n"
	    "server = https://ca.test/directory\n");
	write_file("etc/letsencrypt/renewal/gone.test.conf", "version = 2\n");
	write_file("etc/cron.d/certbot", "# x\n1 1 * * * root certbot renew\n");
}

static void
make_nginx(void)
{
	write_file("etc/nginx/sites-enabled/a",
	    arena_printf(arena,
		"server { listen 443 ssl; server_name a.test;\n"
		"ssl_certificate %s/etc/letsencrypt/live/a.test/fullchain.pem;"
		"\nssl_certificate_key "
		"%s/etc/letsencrypt/live/a.test/privkey.pem; }",
		dir, dir));
	write_file("etc/nginx/sites-available/b",
	    "server { ssl_certificate /nowhere; }");
}

/* --- tools --- */

static void
certbot_s_lines_are_found_with_their_use(void)
{
	const struct import_found *f;

	begin();
	make_certbot();
	make_nginx();
	f = read_host("etc/letsencrypt");
	CHECK_INT(im.nfound, 2);
	CHECK_STR(f->tool, "certbot");
	CHECK_STR(f->name, "a.test");
	CHECK_STR(f->names[0], "a.test");
	CHECK_STR(f->ca, "https://ca.test/directory");
	CHECK_INT(f->window_days, 20);
	CHECK(strncmp(f->key, "ECDSA", 5) == 0);
	CHECK(f->uses && !f->uses->next);
	CHECK_STR(f->uses->server_name, "a.test");
	CHECK(strstr(f->renewal, "etc/cron.d/certbot, line 2"));
	CHECK(strncmp(f->stop, "mv /tmp/", 8) == 0);
	/* The other is told of, without a certificate. */
	CHECK_STR(f->next->name, "gone.test");
	CHECK_INT(f->next->nnames, 0);
	CHECK_INT(im.nnotes, 1);
}

static void
acme_sh_s_are_found(void)
{
	const struct import_found *f;

	begin();
	issue("b.test", "acme/b.test_ecc/fullchain.cer",
	    "acme/b.test_ecc/b.test.key");
	write_file("acme/b.test_ecc/b.test.conf",
	    "Le_Domain='b.test'\nLe_API='https://ca.test/d'\n"
	    "Le_RealFullChainPath='/nowhere/x.pem'\nLe_RenewalDays=60\n");
	write_file("acme/account.conf", "LOG_FILE='x'\n");
	f = read_host("acme");
	CHECK_INT(im.nfound, 1);
	CHECK_STR(f->name, "b.test_ecc");
	CHECK_STR(f->stop, "acme.sh --remove -d b.test --ecc");
	CHECK(strstr(f->renewal, "nothing that runs it was found"));
	CHECK_INT(im.nnotes, 0);
}

static void
lego_s_are_found(void)
{
	const struct import_found *f;

	begin();
	issue("c.test", "lego/certificates/c.test.crt",
	    "lego/certificates/c.test.key");
	write_file("lego/certificates/c.test.json",
	    "{\"domain\":\"c.test\",\"certUrl\":\"https://ca.test/c/1\"}");
	write_file("lego/certificates/d.test.json", "{}");
	f = read_host("lego");
	CHECK_INT(im.nfound, 1);
	CHECK_STR(f->tool, "lego");
	CHECK_STR(f->ca, "https://ca.test/c/1");
	CHECK_STR(f->names[0], "c.test");
}

static void
caddy_s_are_found(void)
{
	const struct import_found *f;

	begin();
	issue("d.test",
	    "caddy/certificates/ca.test-directory/d.test/d.test.crt",
	    "caddy/certificates/ca.test-directory/d.test/d.test.key");
	write_file("caddy/certificates/ca.test-directory/d.test/d.test.json",
	    "{\"sans\":[\"d.test\"],\"issuer_data\":{\"ca\":\"https://ca\"}}");
	f = read_host("caddy");
	CHECK_INT(im.nfound, 1);
	CHECK_STR(f->tool, "caddy");
	CHECK_STR(f->ca, "https://ca");
}

static void
plain_files_are_found_once(void)
{
	const struct import_found *f;

	begin();
	issue("e.test", "tls/e/cert.pem", "tls/e/privkey.pem");
	write_file("tls/e/notes.crt", "no certificate");
	CHECK(link(place("tls/e/cert.pem"), place("tls/e/fullchain.pem")) == 0);
	f = read_host("tls");
	CHECK_INT(im.nfound, 1);
	CHECK_STR(f->name, "e.test");
	CHECK(strstr(f->key_path, "privkey.pem"));
	/* The tool's word for it goes before that of a file. */
	begin();
	make_certbot();
	CHECK(readers_read(&im, place("etc/letsencrypt/archive/a.test")));
	f = read_host("etc/letsencrypt");
	CHECK_INT(im.nfound, 2);
	CHECK_STR(f->tool, "certbot");
	CHECK(!readers_read(&im, "/nowhere/at/all"));
}

static void
other_servers_get_no_target(void)
{
	const struct import_found *f;
	CLEANUP(buf_fini) struct buf all;
	struct plan_opts opts = {.agent = "ag-1"};
	struct plan plan;
	char text[8192];
	size_t n;
	FILE *in;

	buf_init(&all, 0);
	begin();
	issue("g.test", "tls/cert.pem", "tls/g.key");
	/* Certificate and key in one file, as HAProxy has it. */
	for (int i = 0; i < 2; i++) {
		in = fopen(place(i ? "tls/cert.pem" : "tls/g.key"), "r");
		CHECK(in != NULL);
		n = fread(text, 1, sizeof(text) - 1, in);
		(void)fclose(in);
		text[n] = '\0';
		buf_puts(&all, text);
	}
	write_file("etc/haproxy/all.pem.txt", buf_cstr(&all));
	write_file("etc/haproxy/haproxy.cfg",
	    arena_printf(arena, "bind :443 ssl crt %s/etc/haproxy/all.pem.txt",
		dir));
	write_file("etc/apache2/sites-enabled/g",
	    arena_printf(arena, "SSLCertificateFile %s/tls/cert.pem\n", dir));
	f = read_host("tls");
	CHECK_INT(im.nfound, 1);
	CHECK_STR(f->uses->server, "apache");
	CHECK_STR(f->uses->next->server, "haproxy");
	plan_make(arena, &im, &opts, &plan);
	CHECK_INT(plan.ntargets, 0);
	CHECK_INT(plan.nknown, 1);
	for (const struct plan_object *o = plan.objects; o; o = o->next)
		CHECK(!strstr(o->body, "PRIVATE"));
}

static void
a_ca_is_passed_over_in_a_directory(void)
{
	begin();
	issue("h.test", "tls/h.pem", "tls/h.key");
	(void)place("cas/x");
	CHECK(link(place("ca.pem"), place("cas/root.pem")) == 0);
	CHECK(!read_host("cas"));
	CHECK_INT(im.nnotes, 0);
	CHECK_INT(im.npassed, 1);
	CHECK(strstr(im.passed->path, "cas/root.pem") != NULL);
	CHECK_STR(im.passed->why, "self-signed, and a CA's (CA:TRUE)");
	/* Whoever names the file means it. */
	CHECK(read_host("cas/root.pem") != NULL);
	CHECK_INT(im.npassed, 1);
	scripted_begin();
	CHECK_INT(scripted_run(
		      arena_printf(arena, "import %s/cas --etc %s", dir, dir)),
	    EXIT_NOT_FOUND);
	CHECK(strstr(captured_out(), "/cas/root.pem: self-signed, and a CA's"));
	CHECK_INT(scripted_run_json(arena_printf(arena,
		      "import %s/cas %s/tls --etc %s", dir, dir, dir)),
	    EXIT_DONE);
	CHECK(strstr(captured_out(), "\"passed_over\":[{\"path\":\""));
	CHECK(strstr(captured_out(), "\"why\":\"self-signed, "));
}

static void
cert_manager_s_are_found(void)
{
	const struct import_found *f;

	begin();
	write_file("export.yaml",
	    "apiVersion: v1\nkind: List\nitems:\n"
	    "- apiVersion: cert-manager.io/v1\n  kind: Certificate\n"
	    "  metadata: {name: web, namespace: shop}\n"
	    "  spec:\n    secretName: web-tls\n    renewBefore: 360h0m0s\n"
	    "    dnsNames: [f.test, www.f.test]\n"
	    "    privateKey: {algorithm: ECDSA, size: 384}\n"
	    "    issuerRef: {name: le, kind: ClusterIssuer}\n"
	    "- apiVersion: cert-manager.io/v1\n  kind: ClusterIssuer\n"
	    "  metadata: {name: le}\n"
	    "  spec: {acme: {server: 'https://ca.test/d'}}\n"
	    "- apiVersion: v1\n  kind: Secret\n"
	    "  metadata: {name: web-tls, namespace: other}\n"
	    "  data: {tls.crt: bm8=}\n");
	f = read_host("export.yaml");
	CHECK_INT(im.nfound, 1);
	CHECK_STR(f->name, "web.shop");
	CHECK_INT(f->nnames, 2);
	CHECK_STR(f->names[1], "www.f.test");
	CHECK_STR(f->key, "ECDSA 384");
	CHECK_STR(f->ca, "ClusterIssuer le: https://ca.test/d");
	CHECK_INT(f->window_days, 15);
	CHECK_STR(f->stop, "kubectl -n shop delete certificate web");
	CHECK_STR(f->pem, "");
	CHECK_INT(im.nnotes, 0);
}

/* --- the command --- */

static int
run(const char *more)
{
	return scripted_run(arena_printf(arena,
	    "import %s/etc/letsencrypt "
	    "--etc %s/etc%s",
	    dir, dir, more));
}

static void
a_plan_asks_nobody_until_all_is_given(void)
{
	begin();
	make_certbot();
	make_nginx();
	scripted_begin();
	CHECK_INT(run(""), EXIT_DONE);
	CHECK(!scripted_asked(0));
	CHECK(strstr(captured_out(), "to be     certificate        mc-a.test"));
	CHECK(strstr(captured_out(), "used by   nginx: "));
	CHECK(strstr(captured_err(), "--owner-id (certctl owners list), "
				     "--team-id"));
	CHECK_INT(run(" --apply --yes --owner-id o-1"), EXIT_USAGE);
	CHECK(!scripted_asked(0));
	CHECK(!strstr(captured_err(), "--owner-id"));
	CHECK_INT(run(" --yes"), EXIT_USAGE);
}

static void
answer_known(const char *managed)
{
	const char *fingerprint = im.found->fingerprint_sha256;

	scripted_answer("GET /api/v1/discovered-certificates?agent_id=ag-1",
	    200,
	    arena_printf(arena,
		"{\"data\":[{\"id\":\"dcert-1\",\"fingerprint_sha256\":\"%s\","
		"\"source_path\":\"/elsewhere\",\"managed_certificate_id\":"
		"\"%s\"}]}",
		fingerprint, managed));
}

static void
what_is_new_is_made_in_order(void)
{
	begin();
	make_certbot();
	make_nginx();
	IGNORE_RESULT(read_host("etc/letsencrypt"));
	scripted_begin();
	answer_known("");
	scripted_answer("GET ", 404, "{}");
	scripted_answer("POST ", 201, "{}");
	CHECK_INT(run(IDS " --apply --yes"), EXIT_DONE);
	CHECK_INT(scripted_count("POST /api/v1/renewal-policies"), 1);
	CHECK_INT(scripted_count("POST /api/v1/targets"), 1);
	CHECK_INT(scripted_count("POST /api/v1/certificates"), 1);
	CHECK_INT(scripted_count("POST /api/v1/agents/"), 0);
	CHECK_STR(scripted_body(),
	    "{\"managed_certificate_id\":\"mc-a.test\"}");
	CHECK(strstr(captured_out(),
	    "created   target          tgt-ag-1-a.test"));
	CHECK(strstr(captured_out(), "certctl certs renew mc-a.test --wait"));
}

/* The calls, in their order, and none of them made; a claim has no id before
 * the report. */
static void
a_dry_run_shows_what_would_be_made(void)
{
	begin();
	make_certbot();
	make_nginx();
	IGNORE_RESULT(read_host("etc/letsencrypt"));
	scripted_begin();
	scripted_answer("GET /api/v1/discovered-certificates", 200,
	    "{\"data\":[]}");
	scripted_answer("GET ", 404, "{}");
	CHECK_INT(run(IDS " --dry-run"), EXIT_DONE);
	CHECK(strstr(captured_out(), "POST https://x/api/v1/renewal-policies"));
	CHECK(strstr(captured_out(), "POST https://x/api/v1/targets"));
	CHECK(strstr(captured_out(), "POST https://x/api/v1/certificates"));
	CHECK(strstr(captured_out(),
	    "POST https://x/api/v1/agents/ag-1/discoveries"));
	CHECK(strstr(captured_out(),
	    "POST https://x/api/v1/discovered-certificates/{}/claim"));
	CHECK_INT(scripted_count("POST "), 0);
	CHECK(strstr(captured_err(), "nothing was sent"));
}

/* By what the server has of the certificate: state and exit code. */
/* One question for its id and one for its name, be it another's id or not. */
static void
a_name_that_is_taken_is_found_by_one_question(void)
{
	begin();
	make_certbot();
	scripted_begin();
	scripted_answer("GET /api/v1/discovered-certificates", 200,
	    "{\"data\":[]}");
	scripted_answer("GET /api/v1/certificates?q=", 200,
	    "{\"data\":[{\"id\":\"a.test\",\"name\":\"a.test\"}]}");
	scripted_answer("GET ", 404, "{}");
	CHECK_INT(run(IDS), EXIT_CONFLICT);
	CHECK(strstr(captured_out(), "a.test has the name \"a.test\" there"));
	CHECK_INT(scripted_count("GET /api/v1/certificates"), 2);
}

static void
what_is_there_is_compared(void)
{
	static const char same[] =
	    "\"id\":\"mc-a.test\",\"name\":\"a.test\",\"common_name\":"
	    "\"a.test\",\"sans\":[\"a.test\"],\"team_id\":\"t-1\","
	    "\"issuer_id\":\"iss-1\",\"renewal_policy_id\":\"rp-x\"";
	static const struct {
		const char *owner, *targets, *want;
		int exit_code;
	} all[] = {
	    {"o-1", "tgt-ag-1-a.test", "nothing was changed", EXIT_DONE},
	    {"o-1", "tgt-2", "extended  certificate     mc-a.test", EXIT_DONE},
	    {"o-2", "tgt-2",
		"CONFLICT  certificate        mc-a.test: owner_id is \"o-2\" "
		"there and \"o-1\" here",
		EXIT_CONFLICT},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		begin();
		make_certbot();
		make_nginx();
		IGNORE_RESULT(read_host("etc/letsencrypt"));
		scripted_begin();
		answer_known("mc-a.test");
		scripted_answer("GET /api/v1/targets/", 200,
		    arena_printf(arena,
			"{\"id\":\"tgt-ag-1-a.test\",\"name\":\"tgt-ag-1-"
			"a.test\",\"type\":\"NGINX\",\"agent_id\":\"ag-1\","
			"\"enabled\":true,\"config\":{\"cert_path\":\"%s\","
			"\"key_path\":\"%s\",\"host\":\"127.0.0.1\",\"port\":"
			"443,\"server_name\":\"a.test\",\"more\":1}}",
			im.found->uses->cert_path, im.found->uses->key_path));
		scripted_answer("GET /api/v1/certificates/", 200,
		    arena_printf(arena,
			"{%s,\"owner_id\":\"%s\",\"target_ids\":[\"%s\"]}",
			same, all[i].owner, all[i].targets));
		scripted_answer("PUT /api/v1/certificates/mc-a.test", 200,
		    "{}");
		scripted_answer("GET /api/v1/", 200, "{}"); /* ids, no names */
		CHECK_INT(run(IDS " --renewal-policy-id rp-x --apply --yes"),
		    all[i].exit_code);
		CHECK(strstr(captured_out(), all[i].want));
		CHECK_INT(scripted_count("POST "), 0);
		CHECK_INT(scripted_count("PUT "), i == 1);
	}
	CHECK(strstr(captured_err(), "1 conflict: nothing was changed"));
}

static void
json_holds_what_was_found(void)
{
	begin();
	make_certbot();
	scripted_begin();
	CHECK_INT(scripted_run_json(arena_printf(arena,
		      "import %s/etc/letsencrypt --etc %s/etc", dir, dir)),
	    EXIT_DONE);
	CHECK(strstr(captured_out(), "\"tool\":\"certbot\""));
	CHECK(strstr(captured_out(), "\"state\":\"to be\""));
	CHECK(!strstr(captured_out(), "PRIVATE"));
}

CHECK_MAIN(CHECK_ROW(certbot_s_lines_are_found_with_their_use),
    CHECK_ROW(acme_sh_s_are_found), CHECK_ROW(lego_s_are_found),
    CHECK_ROW(caddy_s_are_found), CHECK_ROW(plain_files_are_found_once),
    CHECK_ROW(other_servers_get_no_target),
    CHECK_ROW(a_ca_is_passed_over_in_a_directory),
    CHECK_ROW(cert_manager_s_are_found),
    CHECK_ROW(a_plan_asks_nobody_until_all_is_given),
    CHECK_ROW(what_is_new_is_made_in_order),
    CHECK_ROW(a_dry_run_shows_what_would_be_made),
    CHECK_ROW(a_name_that_is_taken_is_found_by_one_question),
    CHECK_ROW(what_is_there_is_compared), CHECK_ROW(json_holds_what_was_found))
