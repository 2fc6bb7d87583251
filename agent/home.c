#include "agent/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/safedir.h"
#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/log/log.h"

#define LOCK_TRIES 50
#define LOCK_PAUSE_US 100000
#define JOURNAL "journal"
#define SERVED "served"

struct own_dir {
	const char *code; /* of the log lines */
	const char *variable;
	const char *path;
	/* Whether an agent puts a file of that name there; *out_is_proof: and
	 * nobody else does. */
	bool (*knows)(const struct own_dir *d, const char *name,
	    bool *out_is_proof);
	const char *key_dir;
};

static bool
is_any_dirs(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       strcmp(name, "lost+found") == 0;
}

static bool
knows_key(const struct own_dir *d, const char *name, bool *out_is_proof)
{
	bool is_job = strncmp(name, "job-", 4) == 0;

	*out_is_proof = is_job && (text_ends_with(name, ".key") ||
				      text_ends_with(name, ".csr"));
	return is_job;
}

/* The key directory usually lies below the state directory. */
static bool
leads_to_keys(const struct own_dir *d, const char *name)
{
	size_t n = strlen(d->path), m = strlen(name);
	const char *rest = d->key_dir + n;

	if (strncmp(d->key_dir, d->path, n) != 0)
		return false;
	rest += strspn(rest, "/");
	return strncmp(rest, name, m) == 0 &&
	       (rest[m] == '/' || rest[m] == '\0');
}

static bool
knows_state(const struct own_dir *d, const char *name, bool *out_is_proof)
{
	*out_is_proof = strcmp(name, "identity.json") == 0;
	return *out_is_proof || strcmp(name, "identity.json.tmp") == 0 ||
	       strcmp(name, JOURNAL) == 0 || strcmp(name, SERVED) == 0 ||
	       leads_to_keys(d, name) ||
	       (strcmp(d->path, d->key_dir) == 0 &&
		   knows_key(d, name, out_is_proof));
}

static rc
check_content(const struct own_dir *d, int dir_fd)
{
	char stranger[NAME_MAX + 1] = "";
	bool is_proven = false;
	struct dirent *e;
	DIR *dir;
	int fd;

	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		log_error(d->code, "%s: %s", d->path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return RC_IO;
	}
	while (!is_proven && (e = readdir(dir)) != NULL) {
		if (is_any_dirs(e->d_name) ||
		    d->knows(d, e->d_name, &is_proven))
			continue;
		memcpy(stranger, e->d_name, strlen(e->d_name) + 1);
	}
	closedir(dir);
	if (is_proven || !stranger[0])
		return RC_OK;
	log_error(d->code,
	    "%s holds \"%s\" and nothing of an agent's: name a "
	    "directory that is new or empty in %s",
	    d->path, stranger, d->variable);
	return RC_CONFLICT;
}

static rc
check_owner(const struct own_dir *d, int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		log_error(d->code, "%s: %s", d->path, strerror(errno));
		return RC_IO;
	}
	if (st.st_uid != geteuid()) {
		log_error(d->code,
		    "%s belongs to user %u and this agent runs as user %u: "
		    "start it as that user, or name another directory in %s",
		    d->path, (unsigned)st.st_uid, (unsigned)geteuid(),
		    d->variable);
		return RC_FORBIDDEN;
	}
	if (st.st_mode & 077) {
		log_error(d->code,
		    "%s has mode %04o, so others may have read it or put "
		    "something there: look at what it holds, then chmod 0700 "
		    "it, or name another directory in %s",
		    d->path, (unsigned)st.st_mode & 07777, d->variable);
		return RC_FORBIDDEN;
	}
	return RC_OK;
}

static rc
cannot_open(const struct own_dir *d)
{
	if (errno == ELOOP || errno == ENOTDIR)
		log_error(d->code,
		    "%s is no directory: name one, not a link to one, in %s",
		    d->path, d->variable);
	else
		log_error(d->code, "%s: %s (%s)", d->path, strerror(errno),
		    d->variable);
	return RC_IO;
}

/* Where the directory stands: who can change that can exchange it, whatever
 * its own mode.  RC_NOT_FOUND is not logged. */
static rc
open_above(const struct own_dir *d, int *out_fd, char out_name[NAME_MAX + 1])
{
	struct arena *a = arena_new();
	const char *name, *why = "";
	rc ret;

	ret = safedir_open_above(a, d->path, out_fd, &name, &why);
	if (ret == RC_OK && strlen(name) > NAME_MAX) {
		close(*out_fd);
		why = "its name is too long";
		ret = RC_INVALID;
	}
	if (ret == RC_OK)
		memcpy(out_name, name, strlen(name) + 1);
	else if (ret != RC_NOT_FOUND)
		log_error(d->code,
		    "%s cannot be used: %s; mend that, or name "
		    "another directory in %s",
		    d->path, why, d->variable);
	arena_free(a);
	return ret;
}

static int
open_dir(int above_fd, const char *name)
{
	return openat(above_fd, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static rc
has_nothing_above(const struct own_dir *d)
{
	log_error(d->code,
	    "%s: the directory above it does not exist: make "
	    "it, or name another in %s",
	    d->path, d->variable);
	return RC_NOT_FOUND;
}

static rc
take(const struct own_dir *d, int *out_fd)
{
	char name[NAME_MAX + 1];
	int above_fd, fd;
	rc ret;

	ret = open_above(d, &above_fd, name);
	if (ret == RC_NOT_FOUND)
		return has_nothing_above(d);
	if (ret != RC_OK)
		return ret;
	if (mkdirat(above_fd, name, 0700) != 0 && errno != EEXIST)
		fd = -1;
	else
		fd = open_dir(above_fd, name);
	if (fd < 0)
		ret = cannot_open(d);
	close(above_fd);
	if (ret != RC_OK)
		return ret;
	ret = check_owner(d, fd);
	if (ret == RC_OK)
		ret = check_content(d, fd);
	if (ret != RC_OK) {
		close(fd);
		return ret;
	}
	*out_fd = fd;
	return RC_OK;
}

/* One agent a key directory.  A predecessor that was killed may take a moment
 * to be gone. */
static rc
lock_dir(const struct own_dir *d, int fd)
{
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES) {
			log_error(d->code, "%s: %s", d->path,
			    errno == EWOULDBLOCK
				? "another agent uses this directory"
				: strerror(errno));
			return RC_BUSY;
		}
		(void)usleep(LOCK_PAUSE_US);
	}
	return RC_OK;
}

/* Below the state directory, which is ours by now. */
static rc
open_below(struct agent *a, const struct own_dir *state, const char *name,
    int *out_fd)
{
	struct own_dir below = *state;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", state->path, name);
	below.path = path;
	if (mkdirat(a->state_dir_fd, name, 0700) != 0 && errno != EEXIST)
		return cannot_open(&below);
	*out_fd = open_dir(a->state_dir_fd, name);
	if (*out_fd < 0)
		return cannot_open(&below);
	return check_owner(&below, *out_fd);
}

static void
describe(const struct agent *a, struct own_dir *out_state,
    struct own_dir *out_keys)
{
	const char *key_dir = cfg_str(a->cfg, "key_dir");

	*out_state = (struct own_dir){"STATE-DIR", "CERTCTL_AGENT_STATE_DIR",
	    cfg_str(a->cfg, "state_dir"), knows_state, key_dir};
	*out_keys = (struct own_dir){"KEY-DIR", "CERTCTL_KEY_DIR", key_dir,
	    knows_key, key_dir};
	if (strcmp(out_state->path, key_dir) == 0)
		out_keys->knows = knows_state;
}

/* The state directory may be the key directory's parent: it goes first. */
rc
home_open(struct agent *a)
{
	struct own_dir state, keys;
	rc ret;

	describe(a, &state, &keys);
	ret = take(&state, &a->state_dir_fd);
	if (ret == RC_OK)
		ret = take(&keys, &a->key_dir_fd);
	if (ret == RC_OK)
		ret = lock_dir(&keys, a->key_dir_fd);
	if (ret == RC_OK)
		ret = open_below(a, &state, JOURNAL, &a->journal_dir_fd);
	if (ret == RC_OK)
		ret = open_below(a, &state, SERVED, &a->served_dir_fd);
	return ret;
}

static bool
is_right_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (strncmp(path, dir, n) != 0 || path[n] != '/')
		return false;
	path += n + strspn(path + n, "/");
	return path[strcspn(path, "/")] == '\0' ||
	       path[strcspn(path, "/") + 1] == '\0';
}

/* made: a directory that a start would have made by then, or NULL. */
static rc
check_one(const struct own_dir *d, const char *made)
{
	char name[NAME_MAX + 1];
	int above_fd, fd;
	rc ret;

	ret = open_above(d, &above_fd, name);
	if (ret == RC_NOT_FOUND)
		return made && is_right_below(d->path, made)
			   ? RC_OK
			   : has_nothing_above(d);
	if (ret != RC_OK)
		return ret;
	fd = open_dir(above_fd, name);
	if (fd < 0)
		ret = errno == ENOENT ? RC_OK : cannot_open(d);
	close(above_fd);
	if (fd < 0)
		return ret;
	ret = check_owner(d, fd);
	if (ret == RC_OK)
		ret = check_content(d, fd);
	close(fd);
	return ret;
}

rc
home_check(const struct agent *a)
{
	struct own_dir state, keys;
	rc ret, s;

	describe(a, &state, &keys);
	ret = check_one(&state, NULL);
	s = check_one(&keys, ret == RC_OK ? state.path : NULL);
	return ret != RC_OK ? ret : s;
}

static void
close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
home_close(struct agent *a)
{
	close_one(&a->key_dir_fd);
	close_one(&a->journal_dir_fd);
	close_one(&a->served_dir_fd);
	close_one(&a->state_dir_fd);
}
