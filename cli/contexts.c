#include "cli/contexts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <openssl/crypto.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "common/base/file.h"
#include "common/json/json.h"

#define URL_MAX 2048

static int
fail(const struct contexts *s, const char *what, const char *why)
{
	out_error("%s: %s%s", s->path, what, why);
	return EXIT_FAILED;
}

/* --- the path --- */

/* The directory, and whether there can be one. */
static bool
find_dir(struct cli *c, const char **out)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	/* A relative one is not valid (XDG Base Directory Specification). */
	if (xdg && xdg[0] == '/')
		*out = arena_printf(c->arena, "%s/certctl", xdg);
	else if (home && home[0] == '/')
		*out = arena_printf(c->arena, "%s/.config/certctl", home);
	else
		return false;
	return true;
}

bool
contexts_may_be(struct cli *c)
{
	const char *dir;

	return find_dir(c, &dir);
}

/* With those above it, for the user alone. */
static bool
make_dir(struct cli *c, const char *dir)
{
	char *path = arena_strdup(c->arena, dir);

	for (char *p = path + 1;; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return false;
		*p = was;
		if (was == '\0')
			return true;
	}
}

/* --- reading --- */

static void
wipe_strings(struct cJSON *json)
{
	struct cJSON *item;

	if (cJSON_IsString(json))
		OPENSSL_cleanse(json->valuestring, strlen(json->valuestring));
	cJSON_ArrayForEach(item, json) wipe_strings(item);
}

static void
wipe_json(void *arg)
{
	wipe_strings(arg);
	cJSON_Delete(arg);
}

/* Texts, and no others: one that is not read as its own CA would leave the
 * system's roots in its place. */
static bool
has_only_texts(const struct cJSON *object)
{
	static const char *const names[] = {"server", "api_key", "ca_pem"};
	const struct cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		size_t i = 0;

		while (
		    i < ARRAY_LEN(names) && strcmp(names[i], item->string) != 0)
			i++;
		if (i == ARRAY_LEN(names) || !cJSON_IsString(item))
			return false;
	}
	return true;
}

static bool
is_context(const struct cJSON *item)
{
	const char *text;

	return cJSON_IsObject(item) && contexts_is_name(item->string) &&
	       has_only_texts(item) &&
	       json_str(item, "server", URL_MAX, &text) == RC_OK &&
	       strncmp(text, "https://", 8) == 0;
}

static bool
is_ours(const struct cJSON *json)
{
	const struct cJSON *all = json_get(json, "contexts"), *item;

	if (!cJSON_IsObject(json) || !cJSON_IsObject(all))
		return false;
	cJSON_ArrayForEach(item, json)
	{
		if (strcmp(item->string, "contexts") != 0 &&
		    (strcmp(item->string, "current") != 0 ||
			!cJSON_IsString(item)))
			return false;
	}
	cJSON_ArrayForEach(item, all)
	{
		if (!is_context(item))
			return false;
	}
	return true;
}

static int
read_open(struct contexts *s, int fd)
{
	struct arena *a = s->cli->arena;
	const struct cJSON *json = NULL;
	const char *why = "";
	struct stat st;
	size_t len = 0;
	char *text;
	rc ret;

	if (fstat(fd, &st) != 0)
		return fail(s, "", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(s, "it is no regular file", "");
	if (st.st_uid != geteuid()) {
		out_error("%s: it belongs to another user (number %u), who "
			  "could say which server gets a key",
		    s->path, (unsigned)st.st_uid);
		out_tell("To fix it: run certctl as its owner, or set "
			 "XDG_CONFIG_HOME to a directory of your own.");
		return EXIT_FAILED;
	}
	if ((st.st_mode & 077) != 0) {
		out_error("%s: it holds keys, and is not yours alone (mode "
			  "%04o)",
		    s->path, (unsigned)st.st_mode & 07777);
		out_tell("To fix it: chmod 600 %s, and have its keys replaced "
			 "if others can have read them.",
		    s->path);
		return EXIT_FAILED;
	}
	text = arena_alloc(a, CONTEXTS_BYTES_MAX + 1);
	ret = file_read_fd(fd, text, CONTEXTS_BYTES_MAX, &len);
	if (ret == RC_OK)
		ret = json_parse(a, text, len, &json, &why);
	else
		why = ret == RC_TOO_LARGE ? "it is too large" : strerror(errno);
	if (ret == RC_OK && is_ours(json)) {
		s->json = cJSON_Duplicate(json, true);
		arena_defer(a, wipe_json, s->json);
		wipe_strings((struct cJSON *)(uintptr_t)json);
	}
	OPENSSL_cleanse(text, len);
	if (ret != RC_OK)
		return fail(s, "", why);
	return s->json ? EXIT_DONE
		       : fail(s, "it holds no contexts of certctl", "");
}

static int
read_file(struct contexts *s)
{
	int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), exit_code;

	if (fd < 0 && errno == ENOENT) {
		s->json = cJSON_CreateObject();
		arena_defer(s->cli->arena, wipe_json, s->json);
		(void)cJSON_AddObjectToObject(s->json, "contexts");
		return EXIT_DONE;
	}
	if (fd < 0)
		return fail(s, "", strerror(errno));
	exit_code = read_open(s, fd);
	(void)close(fd); /* only read from */
	return exit_code;
}

/* The directory is what is locked: the file is another one after a change. */
static int
lock(struct contexts *s, const char *dir)
{
	if (!make_dir(s->cli, dir)) {
		out_error("%s: %s", dir, strerror(errno));
		return EXIT_FAILED;
	}
	s->lock_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock_fd < 0 || flock(s->lock_fd, LOCK_EX) != 0) {
		out_error("%s: %s", dir, strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

int
contexts_begin(struct cli *c, bool to_change, struct contexts *out)
{
	int exit_code = EXIT_DONE;
	const char *dir;

	*out = (struct contexts){.cli = c, .lock_fd = -1};
	if (!find_dir(c, &dir)) {
		out_error("contexts are kept in XDG_CONFIG_HOME or HOME, and "
			  "neither is set");
		return EXIT_FAILED;
	}
	out->path = arena_printf(c->arena, "%s/contexts.json", dir);
	if (to_change)
		exit_code = lock(out, dir);
	if (exit_code == EXIT_DONE)
		exit_code = read_file(out);
	if (exit_code != EXIT_DONE)
		contexts_end(out);
	return exit_code;
}

void
contexts_end(struct contexts *s)
{
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	s->lock_fd = -1;
}

/* --- writing --- */

static bool
write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		left -= (size_t)n;
	}
	return fsync(fd) == 0;
}

static int
save_as(struct contexts *s, char *temp, const char *text)
{
	int fd = mkostemp(temp, O_CLOEXEC), saved; /* of mode 0600 */
	bool ok;

	if (fd < 0)
		return fail(s, "", strerror(errno));
	ok = write_all(fd, text);
	saved = errno;
	if (close(fd) != 0 && ok) {
		ok = false;
		saved = errno;
	}
	if (ok && rename(temp, s->path) != 0) {
		ok = false;
		saved = errno;
	}
	if (ok)
		(void)fsync(s->lock_fd); /* else it may be the old one */
	else
		(void)unlink(temp);
	return ok ? EXIT_DONE : fail(s, "", strerror(saved));
}

int
contexts_save(struct contexts *s)
{
	char *text = cJSON_Print(s->json), *temp;
	int exit_code;

	if (!text)
		abort();
	temp = arena_printf(s->cli->arena, "%s.XXXXXX", s->path);
	exit_code = save_as(s, temp, text);
	OPENSSL_cleanse(text, strlen(text));
	cJSON_free(text);
	return exit_code;
}

/* --- what is in it --- */

bool
contexts_is_name(const char *name)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-";
	size_t n = strspn(name, allowed);

	return n > 0 && n <= CONTEXTS_NAME_MAX && name[n] == '\0' &&
	       name[0] != '-' && name[0] != '.';
}

static struct cJSON *
all(const struct contexts *s)
{
	return cJSON_GetObjectItem(s->json, "contexts");
}

static const char *
text_of(const struct cJSON *item, const char *name)
{
	const char *text = "";

	IGNORE_RESULT(json_str(item, name, CONTEXTS_BYTES_MAX, &text));
	return text;
}

static struct context
read_context(const struct cJSON *item)
{
	return (struct context){.name = item->string,
	    .server = text_of(item, "server"),
	    .api_key = text_of(item, "api_key"),
	    .ca_pem = text_of(item, "ca_pem")};
}

size_t
contexts_count(const struct contexts *s)
{
	return (size_t)cJSON_GetArraySize(all(s));
}

struct context
contexts_at(const struct contexts *s, size_t i)
{
	return read_context(cJSON_GetArrayItem(all(s), (int)i));
}

bool
contexts_find(const struct contexts *s, const char *name, struct context *out)
{
	const struct cJSON *item =
	    cJSON_GetObjectItemCaseSensitive(all(s), name);

	if (item)
		*out = read_context(item);
	return item != NULL;
}

const char *
contexts_current(const struct contexts *s)
{
	return text_of(s->json, "current");
}

void
contexts_put(struct contexts *s, const struct context *context)
{
	struct cJSON *item = cJSON_CreateObject();

	(void)cJSON_AddStringToObject(item, "server", context->server);
	if (context->api_key[0])
		(void)cJSON_AddStringToObject(item, "api_key",
		    context->api_key);
	if (context->ca_pem[0])
		(void)cJSON_AddStringToObject(item, "ca_pem", context->ca_pem);
	contexts_remove(s, context->name);
	(void)cJSON_AddItemToObject(all(s), context->name, item);
}

void
contexts_remove(struct contexts *s, const char *name)
{
	struct cJSON *item =
	    cJSON_DetachItemFromObjectCaseSensitive(all(s), name);

	if (item)
		wipe_json(item);
}

void
contexts_set_current(struct contexts *s, const char *name)
{
	cJSON_DeleteItemFromObject(s->json, "current");
	if (name[0])
		(void)cJSON_AddStringToObject(s->json, "current", name);
}
