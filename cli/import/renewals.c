#include "cli/import/renewals.h"

#include <string.h>

#include "cli/import/files.h"
#include "common/base/buf.h"
#include "common/base/text.h"

static const char *const programs[] = {"certbot", "acme.sh", "lego"};

/* Directories whose files may run something; names that contain "timers" hold
 * units of systemd. */
static const char *const places[] = {"cron.d", "cron.hourly", "cron.daily",
    "cron.weekly", "../var/spool/cron/crontabs", "systemd/system",
    "systemd/system/timers.target.wants"};

static bool
is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       text_is_digit(c) || c == '_';
}

/* The program as a word of the n bytes. */
static bool
names_program(const char *line, size_t n, const char *program)
{
	size_t len = strlen(program);

	for (size_t i = 0; i + len <= n; i++) {
		if (memcmp(line + i, program, len) == 0 &&
		    (i == 0 || !is_word_char(line[i - 1])) &&
		    (i + len == n || !is_word_char(line[i + len])))
			return true;
	}
	return false;
}

const char *
renewals_line(struct arena *a, const char *text, size_t len,
    const char *program, size_t *out_line)
{
	const char *end = text + len, *next;
	size_t number = 0;

	for (const char *line = text; line < end; line = next) {
		const char *feed = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)((feed ? feed : end) - line);

		next = feed ? feed + 1 : end;
		number++;
		while (n > 0 && (*line == ' ' || *line == '\t')) {
			line++;
			n--;
		}
		if (n == 0 || *line == '#' || *line == ';' || *line == '[' ||
		    strncmp(line, "Description", 11) == 0 ||
		    strncmp(line, "Documentation", 13) == 0)
			continue;
		if (names_program(line, n, program)) {
			*out_line = number;
			return arena_strndup(a, line, n);
		}
	}
	return NULL;
}

/* What is to be said of a file that runs the program, or NULL. */
static const char *
look(struct import *im, const char *path, const char *name, const char *program)
{
	size_t len, line = 0;
	char *text;

	if (text_ends_with(name, ".timer"))
		return strncmp(name, program, strlen(program)) == 0 ||
			       strstr(name, program)
			   ? arena_printf(im->arena,
				 "the timer %s (systemctl disable --now %s)",
				 path, name)
			   : NULL;
	text = files_read(im, path, IMPORT_FILE_MAX, &len);
	if (!text || !renewals_line(im->arena, text, len, program, &line))
		return NULL;
	return arena_printf(im->arena, "%s, line %zu", path, line);
}

static void
add(struct import *im, struct buf *b, const char *what)
{
	if (!what)
		return;
	if (b->len > 0)
		buf_puts(b, "; ");
	buf_puts(b, what);
}

/* All that runs the program. */
static const char *
find_runner(struct import *im, const char *etc, const char *program)
{
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 4096);
	add(im, &b,
	    look(im, files_join(im, etc, "crontab"), "crontab", program));
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const char *dir = files_join(im, etc, places[i]);
		size_t n;
		const char *const *names = files_list(im, dir, &n);

		for (size_t k = 0; k < n; k++) {
			const char *path = files_join(im, dir, names[k]);

			if (files_is_file(path))
				add(im, &b, look(im, path, names[k], program));
		}
	}
	return b.len > 0 && buf_ok(&b) ? arena_strdup(im->arena, buf_cstr(&b))
				       : NULL;
}

void
renewals_find(struct import *im, const char *etc)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		const char *runner = NULL;
		bool is_looked = false;

		for (struct import_found *f = im->found; f; f = f->next) {
			if (strcmp(f->tool, programs[i]) != 0 || !f->renewal)
				continue;
			if (!is_looked)
				runner = find_runner(im, etc, programs[i]);
			is_looked = true;
			f->renewal =
			    arena_printf(im->arena, "%s; %s%s", f->renewal,
				runner ? "run by "
				       : "nothing that "
					 "runs it was found below ",
				runner ? runner : etc);
		}
	}
}
