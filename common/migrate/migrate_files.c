#include "common/migrate/migrate_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { FILE_MAX = 4 * 1024 * 1024, NUMBER_LEN = 4, NAME_MAX_LEN = 100 };

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

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
migrate_names_fini(struct migrate_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct migrate_names){0};
}

static void
add_name(struct migrate_names *names, const char *file)
{
	static const char suffix[] = ".up.sql";
	size_t len = strlen(file), tail = sizeof(suffix) - 1;

	if (len <= tail || strcmp(file + len - tail, suffix) != 0 ||
	    !migrate_name_is_valid(file, len - tail))
		return;
	names->items =
	    mem_realloc(names->items, names->n + 1, sizeof(names->items[0]));
	names->items[names->n++] = mem_strndup(file, len - tail);
}

rc
migrate_list(const char *dir, struct migrate_names *out)
{
	struct migrate_names names = {0};
	struct dirent *d;
	DIR *handle = opendir(dir);
	rc ret = RC_OK;

	if (!handle)
		return RC_IO;
	while ((d = readdir(handle)))
		add_name(&names, d->d_name);
	(void)closedir(handle);
	if (names.n == 0)
		return RC_NOT_FOUND;
	qsort(names.items, names.n, sizeof(names.items[0]), compare_names);
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

rc
migrate_read_file(const char *dir, const char *name, bool is_up, char **out)
{
	char path[4096], *text;
	FILE *f;
	size_t len;
	int n;

	n = snprintf(path, sizeof(path), "%s/%s.%s.sql", dir, name,
	    is_up ? "up" : "down");
	if (n < 0 || (size_t)n >= sizeof(path) ||
	    !migrate_name_is_valid(name, strlen(name)))
		return RC_IO;
	f = fopen(path, "re");
	if (!f)
		return RC_IO;
	text = mem_zalloc(FILE_MAX + 1);
	len = fread(text, 1, FILE_MAX + 1, f);
	n = ferror(f);
	(void)fclose(f);
	if (n || len > FILE_MAX) {
		free(text);
		return n ? RC_IO : RC_TOO_LARGE;
	}
	text[len] = '\0';
	*out = text;
	return RC_OK;
}
