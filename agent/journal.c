#include "agent/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/files.h"
#include "common/json/json.h"
#include "common/log/log.h"

#define JOURNAL_MAX (256 * 1024)
#define OPEN_MAX 1000
#define ENDING ".json"

static rc
file_name(const char *target, char out[160])
{
	if (!target[0] || strchr(target, '/') || target[0] == '.' ||
	    strlen(target) > 128)
		return RC_INVALID;
	snprintf(out, 160, "%s" ENDING, target);
	return RC_OK;
}

rc
install_journal_write(struct agent *a, const struct install_journal *j)
{
	char name[160];
	struct json_w w;
	struct buf b;
	rc ret;

	ret = file_name(j->target, name);
	if (ret != RC_OK)
		return ret;
	buf_init(&b, JOURNAL_MAX);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "job", j->job);
	json_w_kv(&w, "certificate", j->certificate);
	json_w_kv(&w, "target", j->target);
	json_w_kv(&w, "type", j->type);
	json_w_kv(&w, "common_name", j->common_name);
	json_w_kv(&w, "version", j->version);
	json_w_kv(&w, "fingerprint", j->fingerprint);
	json_w_kv(&w, "previous", j->previous);
	json_w_kv_bool(&w, "previous_revoked", j->is_previous_revoked);
	json_w_kv_bool(&w, "loaded", j->is_loaded);
	json_w_kv_raw(&w, "config", j->config);
	json_w_close(&w, '}');
	ret = buf_ok(&b)
		  ? files_write(a->journal_dir_fd, name, b.data, b.len, 0600)
		  : RC_TOO_LARGE;
	buf_fini(&b);
	return ret;
}

void
install_journal_clear(struct agent *a, const char *target)
{
	char name[160];

	if (file_name(target, name) == RC_OK &&
	    files_remove(a->journal_dir_fd, name) != RC_OK)
		log_warn("JOURNAL",
		    "cannot remove %s: %s; the install is "
		    "checked again at the next start",
		    name, strerror(errno));
}

void
install_journal_keep(struct agent *a, const char *target)
{
	char name[160];

	if (file_name(target, name) != RC_OK)
		return;
	if (renameat(a->journal_dir_fd, name, a->served_dir_fd, name) != 0 ||
	    fsync(a->served_dir_fd) != 0 || fsync(a->journal_dir_fd) != 0) {
		log_warn("JOURNAL",
		    "cannot keep %s: %s; what the target serves is not told "
		    "of",
		    name, strerror(errno));
		install_journal_clear(a, target);
	}
}

void
install_journal_forget(struct agent *a, const char *target)
{
	char name[160];

	if (file_name(target, name) == RC_OK &&
	    files_remove(a->served_dir_fd, name) != RC_OK)
		log_warn("JOURNAL", "cannot remove %s: %s", name,
		    strerror(errno));
}

/* Absent in a journal of an agent that did not know of it. */
static rc
read_mark(const struct cJSON *o, const char *name, bool *out)
{
	rc ret;

	*out = false;
	ret = json_bool(o, name, out);
	return ret == RC_NOT_FOUND ? RC_OK : ret;
}

static rc
read_file(struct arena *arena, int dir_fd, const char *target,
    struct install_journal *out)
{
	const struct cJSON *o, *config;
	struct install_journal j;
	const char *why;
	char name[160];
	char *text;
	size_t len;
	rc ret;

	ret = file_name(target, name);
	if (ret == RC_OK)
		ret = files_read(arena, dir_fd, name, JOURNAL_MAX, &text, &len);
	if (ret != RC_OK)
		return ret;
	ret = json_parse(arena, text, len, &o, &why);
	if (ret != RC_OK)
		return RC_INVALID;
	config = json_get(o, "config");
	if (json_str(o, "job", 128, &j.job) != RC_OK ||
	    json_str(o, "certificate", 128, &j.certificate) != RC_OK ||
	    json_str(o, "target", 128, &j.target) != RC_OK ||
	    json_str(o, "type", 31, &j.type) != RC_OK ||
	    json_str(o, "common_name", 253, &j.common_name) != RC_OK ||
	    json_str(o, "version", 128, &j.version) != RC_OK ||
	    json_str(o, "fingerprint", 64, &j.fingerprint) != RC_OK ||
	    json_str(o, "previous", 255, &j.previous) != RC_OK || !config)
		return RC_INVALID;
	if (read_mark(o, "previous_revoked", &j.is_previous_revoked) != RC_OK ||
	    read_mark(o, "loaded", &j.is_loaded) != RC_OK)
		return RC_INVALID;
	j.config = json_text(arena, config);
	*out = j;
	return RC_OK;
}

rc
install_journal_read(struct agent *a, struct arena *arena, const char *target,
    struct install_journal *out)
{
	return read_file(arena, a->journal_dir_fd, target, out);
}

rc
install_journal_read_kept(struct agent *a, struct arena *arena,
    const char *target, struct install_journal *out)
{
	return read_file(arena, a->served_dir_fd, target, out);
}

static const char **
list_files(struct arena *arena, int dir_fd)
{
	const char **all = arena_alloc(arena, (OPEN_MAX + 1) * sizeof(*all));
	struct dirent *e;
	size_t n = 0;
	DIR *d;
	int fd;

	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return all;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return all;
	}
	while (n < OPEN_MAX && (e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name), end = strlen(ENDING);

		if (len > end && strcmp(e->d_name + len - end, ENDING) == 0)
			all[n++] = arena_strndup(arena, e->d_name, len - end);
	}
	closedir(d);
	return all;
}

const char **
install_journal_list(struct agent *a, struct arena *arena)
{
	return list_files(arena, a->journal_dir_fd);
}

static int
compare_names(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

const char **
install_journal_list_kept(struct agent *a, struct arena *arena)
{
	const char **all = list_files(arena, a->served_dir_fd);
	size_t n = 0;

	while (all[n])
		n++;
	qsort(all, n, sizeof(*all), compare_names);
	return all;
}
