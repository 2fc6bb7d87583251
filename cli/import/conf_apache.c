/*
 * Apache's configuration: a directive a line, in sections <VirtualHost ...>
 * (httpd.apache.org, "Configuration Files").
 */
#include <string.h>
#include <strings.h>

#include "cli/import/conf_lines.h"
#include "cli/import/confs.h"
#include "cli/import/import.h"

/* What a virtual host, or the file outside of them, has said. */
struct host {
	const char *cert, *key, *name;
	size_t line;
	int port;
};

struct reading {
	struct arena *a;
	const char *file, *home;
	confs_fn *fn;
	void *arg;
};

static void
tell(const struct reading *r, struct host *h)
{
	struct import_use use = {.server = "apache",
	    .file = r->file,
	    .line = h->line,
	    .cert_path = h->cert,
	    .key_path = h->key,
	    .server_name = h->name,
	    .port = h->port};

	if (h->cert)
		r->fn(r->arg, &use);
	memset(h, 0, sizeof(*h));
}

static const char *
path_of(const struct reading *r, const char *word)
{
	if (strstr(word, "${"))
		return NULL;
	return word[0] == '/' ? word
			      : arena_printf(r->a, "%s/%s", r->home, word);
}

static void
take(const struct reading *r, struct host *h, const struct conf_lines *l)
{
	const char *what = l->words[0], *value = l->words[1];

	if (strcasecmp(what, "SSLCertificateFile") == 0) {
		const char *name = h->name;
		int port = h->port;

		if (h->cert) { /* a second one: of another kind of key */
			tell(r, h);
			h->name = name;
			h->port = port;
		}
		h->cert = path_of(r, value);
		h->line = l->line;
	} else if (strcasecmp(what, "SSLCertificateKeyFile") == 0) {
		h->key = path_of(r, value);
	} else if (strcasecmp(what, "ServerName") == 0) {
		h->name = arena_strndup(r->a, value, strcspn(value, ":"));
	}
}

void
confs_apache(struct arena *a, const char *file, const char *home,
    const char *text, size_t len, confs_fn *fn, void *arg)
{
	struct reading r = {a, file, home, fn, arg};
	struct conf_lines *l = arena_alloc(a, sizeof(*l));
	struct host host = {.cert = NULL};

	conf_lines_begin(l, a, text, len);
	while (conf_lines_next(l)) {
		if (strcasecmp(l->words[0], "<VirtualHost") == 0) {
			tell(&r, &host);
			host.port =
			    l->nwords > 1 ? conf_lines_port(l->words[1]) : 0;
		} else if (strcasecmp(l->words[0], "</VirtualHost>") == 0) {
			tell(&r, &host);
		} else if (l->nwords > 1) {
			take(&r, &host, l);
		}
	}
	tell(&r, &host);
}
