/*
 * nginx's configuration: words that end in ";", "{" or "}" (nginx.org,
 * "Configuration file's structure").  What a block says of certificates is
 * told of at its end, for a server's name may come after them.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import/confs.h"
#include "cli/import/import.h"
#include "common/base/buf.h"

enum {
	DEPTH_MAX = 32,
	WORDS_MAX = 16, /* of a directive that are kept */
	WORD_MAX = 4096,
	PAIRS_OF_BLOCK = 8
};

struct block {
	struct {
		const char *cert, *key;
		size_t line;
	} pairs[PAIRS_OF_BLOCK];
	size_t ncerts, nkeys;
	const char *name, *address;
	int port;
};

struct reading {
	struct arena *a;
	const char *file, *home;
	const char *p, *end;
	size_t line;
	const char *words[WORDS_MAX];
	size_t nwords, first_line;
	struct block blocks[DEPTH_MAX];
	size_t depth; /* deeper blocks are passed over */
	confs_fn *fn;
	void *arg;
};

/* NULL: it names no file. */
static const char *
path_of(const struct reading *r, const char *word)
{
	if (strchr(word, '$') || strncmp(word, "data:", 5) == 0 ||
	    strncmp(word, "engine:", 7) == 0)
		return NULL;
	return word[0] == '/' ? word
			      : arena_printf(r->a, "%s/%s", r->home, word);
}

/* [ADDRESS:]PORT, with "ssl" among the words after it. */
static void
take_listen(struct reading *r, struct block *b)
{
	const char *word = r->words[1], *colon = strrchr(word, ':');
	const char *port = colon ? colon + 1 : word;
	bool is_ssl = false;
	long n;

	for (size_t i = 2; i < r->nwords; i++)
		is_ssl = is_ssl || strcmp(r->words[i], "ssl") == 0;
	n = strtol(port, NULL, 10);
	if (!is_ssl || b->port || n < 1 || n > 65535)
		return;
	b->port = (int)n;
	if (colon && word[0] != '*' && word[0] != '[')
		b->address = arena_strndup(r->a, word, (size_t)(colon - word));
}

static void
take_directive(struct reading *r)
{
	struct block *b;
	const char *what = r->nwords > 1 ? r->words[0] : "";

	if (r->depth >= DEPTH_MAX)
		return;
	b = &r->blocks[r->depth];
	if (strcmp(what, "ssl_certificate") == 0) {
		if (b->ncerts < PAIRS_OF_BLOCK) {
			b->pairs[b->ncerts].line = r->first_line;
			b->pairs[b->ncerts++].cert = path_of(r, r->words[1]);
		}
	} else if (strcmp(what, "ssl_certificate_key") == 0) {
		if (b->nkeys < PAIRS_OF_BLOCK)
			b->pairs[b->nkeys++].key = path_of(r, r->words[1]);
	} else if (strcmp(what, "server_name") == 0) {
		for (size_t i = 1; i < r->nwords && !b->name; i++) {
			if (!strpbrk(r->words[i], "*~$_") &&
			    strchr(r->words[i], '.') > r->words[i])
				b->name = r->words[i];
		}
	} else if (strcmp(what, "listen") == 0) {
		take_listen(r, b);
	}
}

static void
end_block(struct reading *r)
{
	struct block *b = &r->blocks[r->depth];

	for (size_t i = 0; i < b->ncerts; i++) {
		struct import_use use = {.server = "nginx",
		    .type = "NGINX",
		    .file = r->file,
		    .line = b->pairs[i].line,
		    .cert_path = b->pairs[i].cert,
		    .key_path = b->pairs[i].key,
		    .server_name = b->name,
		    .address = b->address,
		    .port = b->port};

		if (use.cert_path)
			r->fn(r->arg, &use);
	}
	memset(b, 0, sizeof(*b));
}

static void
skip_blanks(struct reading *r)
{
	while (r->p < r->end) {
		if (*r->p == '#') {
			while (r->p < r->end && *r->p != '\n')
				r->p++;
		} else if (*r->p == '\n') {
			r->line++;
			r->p++;
		} else if (*r->p == ' ' || *r->p == '\t' || *r->p == '\r') {
			r->p++;
		} else {
			return;
		}
	}
}

static bool
ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' ||
	       c == '{' || c == '}';
}

/* A word, in quotes or not; a backslash takes the next character as it is. */
static void
read_word(struct reading *r)
{
	char quote = *r->p == '"' || *r->p == '\'' ? *r->p++ : '\0';
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, WORD_MAX);
	if (r->nwords == 0)
		r->first_line = r->line;
	while (r->p < r->end && (quote ? *r->p != quote : !ends_word(*r->p))) {
		if (*r->p == '\\' && r->p + 1 < r->end)
			r->p++;
		if (*r->p == '$' && r->p + 1 < r->end && r->p[1] == '{') {
			/* ${name}: its brace ends no word. */
			buf_putc(&b, *r->p++);
		}
		r->line += *r->p == '\n';
		buf_putc(&b, *r->p++);
	}
	if (quote && r->p < r->end)
		r->p++;
	if (r->nwords < WORDS_MAX && buf_ok(&b))
		r->words[r->nwords++] = arena_strdup(r->a, buf_cstr(&b));
}

void
confs_nginx(struct arena *a, const char *file, const char *home,
    const char *text, size_t len, confs_fn *fn, void *arg)
{
	struct reading *r = arena_alloc(a, sizeof(*r));

	*r = (struct reading){.a = a,
	    .file = file,
	    .home = home,
	    .p = text,
	    .end = text + len,
	    .line = 1,
	    .fn = fn,
	    .arg = arg};
	for (skip_blanks(r); r->p < r->end; skip_blanks(r)) {
		if (*r->p == ';') {
			take_directive(r);
		} else if (*r->p == '{') {
			r->depth++;
		} else if (*r->p == '}') {
			if (r->depth < DEPTH_MAX)
				end_block(r);
			r->depth -= r->depth > 0;
		} else {
			read_word(r);
			continue;
		}
		r->nwords = 0;
		r->p++;
	}
	for (size_t i = r->depth < DEPTH_MAX ? r->depth : DEPTH_MAX - 1;; i--) {
		r->depth = i;
		end_block(r);
		if (i == 0)
			break;
	}
}
