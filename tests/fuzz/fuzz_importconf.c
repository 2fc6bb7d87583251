/*
 * Configuration files of servers and tools that an import reads: any bytes, in
 * each form.  What is told of a certificate is a path and a line of the file.
 *
 * Input: an octet that chooses the form, then the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import/confs.h"
#include "cli/import/import.h"
#include "cli/import/pairs.h"
#include "cli/import/renewals.h"
#include "common/base/attr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_importconf: %s\n", what);
		abort();
	}
}

static void
on_use(void *arg, const struct import_use *use)
{
	const size_t *lines = arg;

	must(use->cert_path[0] == '/', "no path");
	must(use->line >= 1 && use->line <= *lines, "no line of the file");
	must(use->port >= 0 && use->port <= 65535, "no port");
}

static void
read_pairs(struct arena *a, const char *text, size_t len)
{
	struct pairs p;

	pairs_read(a, text, len, &p);
	must(p.n <= PAIRS_MAX, "too many pairs");
	for (size_t i = 0; i < p.n; i++)
		must(pairs_value(&p, p.all[i].key) != NULL, "lost");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static confs_reader *const readers[] = {confs_nginx, confs_apache,
	    confs_haproxy};
	struct arena *a = arena_new();
	size_t lines = 1, line = 0;
	const char *text;

	if (size > 0) {
		text = arena_strndup(a, (const char *)data + 1, size - 1);
		for (size_t i = 1; i < size; i++)
			lines += data[i] == '\n';
		switch (data[0] % 5) {
		case 3:
			read_pairs(a, text, size - 1);
			break;
		case 4:
			(void)renewals_line(a, text, size - 1, "certbot",
			    &line);
			must(line <= lines, "no line of the file");
			break;
		default:
			readers[data[0] % 5](a, "f", "/etc", text, size - 1,
			    on_use, &lines);
		}
	}
	arena_free(a);
	return 0;
}
