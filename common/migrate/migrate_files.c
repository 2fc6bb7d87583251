#include "common/migrate/migrate_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum {
	FILE_MAX = 4 * 1024 * 1024,
	NUMBER_LEN = 4,
	NAME_MAX_LEN = 100,
	PATH_LEN = 4096
};

bool
migrate_name_is_valid(const char *name, size_t len)
{
	if (len <= NUMBER_LEN + 1 || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (i < NUMBER_LEN && (name[i] < '0' || name[i] > '9'))
			return false;
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name[i]))
			return false;
	}
	return name[NUMBER_LEN] == '_';
}

void
migrate_names_fini(struct migrate_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct migrate_names){0};
}

/* Its name without the suffix, if it has that. */
static void
add_name(struct migrate_names *names, const char *file, const char *suffix)
{
	size_t len = strlen(file), tail = strlen(suffix);

	if (file[0] == '.' || len <= tail ||
	    strcmp(file + len - tail, suffix) != 0)
		return;
	names->items =
	    mem_realloc(names->items, names->n + 1, sizeof(names->items[0]));
	names->items[names->n++] = mem_strndup(file, len - tail);
}

static rc
list_names(const char *dir, const char *suffix, struct migrate_names *out)
{
	struct migrate_names names = {0};
	struct dirent *d;
	DIR *handle = opendir(dir);

	if (!handle)
		return RC_IO;
	while ((d = readdir(handle)))
		add_name(&names, d->d_name, suffix);
	(void)closedir(handle);
	if (names.n == 0)
		return RC_NOT_FOUND;
	qsort(names.items, names.n, sizeof(names.items[0]), text_compare);
	*out = names;
	return RC_OK;
}

/* Others' files may lie there too. */
static void
keep_valid(struct migrate_names *names)
{
	size_t n = 0;

	for (size_t i = 0; i < names->n; i++) {
		char *name = names->items[i];

		if (migrate_name_is_valid(name, strlen(name)))
			names->items[n++] = name;
		else
			free(name);
	}
	names->n = n;
}

rc
migrate_list(const char *dir, struct migrate_names *out)
{
	struct migrate_names names = {0};
	rc ret;

	ret = list_names(dir, ".up.sql", &names);
	if (ret != RC_OK)
		return ret;
	keep_valid(&names);
	if (names.n == 0)
		ret = RC_NOT_FOUND;
	for (size_t i = 1; i < names.n; i++) {
		if (strncmp(names.items[i - 1], names.items[i], NUMBER_LEN) ==
		    0)
			ret = RC_CONFLICT;
	}
	if (ret == RC_OK)
		*out = names;
	else
		migrate_names_fini(&names);
	return ret;
}

/* --- texts --- */

static rc
append_file(struct buf *b, const char *path)
{
	struct arena *a = arena_new();
	char *text;
	size_t len;
	rc ret;

	ret = file_read(a, path, FILE_MAX, &text, &len);
	if (ret == RC_OK) {
		buf_add(b, text, len);
		ret = buf_ok(b) ? RC_OK : RC_TOO_LARGE;
	} else if (ret == RC_NOT_FOUND) {
		ret = RC_IO;
	}
	arena_free(a);
	return ret;
}

/* The text, or nothing of it. */
static rc
take_text(struct buf *b, rc ret, char **out)
{
	if (ret == RC_OK)
		*out = mem_strdup(buf_cstr(b));
	buf_fini(b);
	return ret;
}

rc
migrate_read_file(const char *dir, const char *name, bool is_up, char **out)
{
	char path[PATH_LEN];
	struct buf b;
	int n;

	n = snprintf(path, sizeof(path), "%s/%s.%s.sql", dir, name,
	    is_up ? "up" : "down");
	if (n < 0 || (size_t)n >= sizeof(path) ||
	    !migrate_name_is_valid(name, strlen(name)))
		return RC_IO;
	buf_init(&b, FILE_MAX);
	return take_text(&b, append_file(&b, path), out);
}

rc
migrate_read_code(const char *dir, char **out)
{
	struct migrate_names names = {0};
	char path[PATH_LEN];
	struct buf b;
	rc ret;

	if (snprintf(path, sizeof(path), "%s/code", dir) >= (int)sizeof(path))
		return RC_IO;
	ret = list_names(path, ".sql", &names);
	if (ret != RC_OK)
		return ret;
	buf_init(&b, FILE_MAX);
	for (size_t i = 0; i < names.n && ret == RC_OK; i++) {
		if (snprintf(path, sizeof(path), "%s/code/%s.sql", dir,
			names.items[i]) >= (int)sizeof(path))
			ret = RC_IO;
		else
			ret = append_file(&b, path);
	}
	migrate_names_fini(&names);
	return take_text(&b, ret, out);
}
