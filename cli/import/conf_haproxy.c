/*
 * HAProxy's configuration: "bind ADDRESS:PORT ssl crt FILE ..." (HAProxy's
 * configuration manual, section 5.1).
 */
#include <stdbool.h>
#include <string.h>

#include "cli/import/conf_lines.h"
#include "cli/import/confs.h"
#include "cli/import/import.h"

/* crt-base, for paths that are no absolute ones. */
static const char *
path_of(struct arena *a, const char *base, const char *word)
{
	return word[0] == '/' ? word : arena_printf(a, "%s/%s", base, word);
}

void
confs_haproxy(struct arena *a, const char *file, const char *home,
    const char *text, size_t len, confs_fn *fn, void *arg)
{
	struct conf_lines *l = arena_alloc(a, sizeof(*l));
	const char *base = home;

	conf_lines_begin(l, a, text, len);
	while (conf_lines_next(l)) {
		if (strcmp(l->words[0], "crt-base") == 0 && l->nwords > 1)
			base = path_of(a, home, l->words[1]);
		if (strcmp(l->words[0], "bind") != 0)
			continue;
		for (size_t i = 2; i + 1 < l->nwords; i++) {
			struct import_use use = {.server = "haproxy",
			    .file = file,
			    .line = l->line,
			    .port = conf_lines_port(l->words[1])};

			if (strcmp(l->words[i], "crt") != 0)
				continue;
			use.cert_path = path_of(a, base, l->words[i + 1]);
			fn(arg, &use);
		}
	}
}
