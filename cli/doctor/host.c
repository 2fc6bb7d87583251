#include "cli/doctor/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/enc.h"
#include "common/base/mem.h"

enum {
	PROCESSES_MAX = 256,
	ENVIRONMENT_MAX = 1024 * 1024, /* bytes; what exec takes is less */
	PID_MAX = 4194304
};

/* The tables of the daemons, which the build lays beside this file. */
static const struct cfg_key apiserver_keys[] = {
#define KEY CFG_KEY_ROW
#include "cfg_apiserver.def"
};
static const struct cfg_key scheduler_keys[] = {
#include "cfg_scheduler.def"
};
static const struct cfg_key worker_keys[] = {
#include "cfg_worker.def"
};
static const struct cfg_key agent_keys[] = {
#include "cfg_agent.def"
#undef KEY
};

static const struct {
	const char *name;
	const struct cfg_key *keys;
	size_t n;
} roles[HOST_ROLES] = {
    [HOST_APISERVER] = {"apiserver", apiserver_keys, ARRAY_LEN(apiserver_keys)},
    [HOST_SCHEDULER] = {"scheduler", scheduler_keys, ARRAY_LEN(scheduler_keys)},
    [HOST_WORKER] = {"worker", worker_keys, ARRAY_LEN(worker_keys)},
    [HOST_AGENT] = {"agent", agent_keys, ARRAY_LEN(agent_keys)},
};

const struct cfg_key *
host_keys(enum host_role role, size_t *out_n)
{
	*out_n = roles[role].n;
	return roles[role].keys;
}

const char *
host_variable(const struct host_process *p, const char *name)
{
	size_t n = strlen(name);

	for (char **at = p->env; at && *at; at++) {
		if (strncmp(*at, name, n) == 0 && (*at)[n] == '=')
			return *at + n + 1;
	}
	return NULL;
}

/* --- one process --- */

#define PREFIX "certctl-"

/* Of the name of a program's file. */
static bool
read_role(const char *path, enum host_role *out)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return false;
	for (size_t i = 0; i < HOST_ROLES; i++) {
		if (strcmp(name + strlen(PREFIX), roles[i].name) == 0) {
			*out = (enum host_role)i;
			return true;
		}
	}
	return false;
}

/* Whole, or -1; NUL behind it. */
static ssize_t
read_all(const char *path, char *out, size_t room)
{
	size_t len = 0;
	ssize_t n = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while (n > 0 && len < room - 1) {
		n = read(fd, out + len, room - 1 - len);
		if (n > 0)
			len += (size_t)n;
	}
	close(fd);
	out[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

/* The program of a process that lets its link be read, else what it was
 * started as, which anybody may read. */
static bool
find_role(const char *proc, int pid, struct host_process *p)
{
	static const char gone[] = " (deleted)";
	char path[128], exe[4096];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%d/exe", proc, pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = '\0';
		if (strlen(exe) > strlen(gone) &&
		    strcmp(exe + n - strlen(gone), gone) == 0) {
			exe[(size_t)n - strlen(gone)] = '\0';
			p->is_replaced = true;
		}
		return read_role(exe, &p->role);
	}
	(void)snprintf(path, sizeof(path), "%s/%d/cmdline", proc, pid);
	return read_all(path, exe, sizeof(exe)) > 0 && read_role(exe, &p->role);
}

static void
read_environment(struct arena *a, const char *proc, struct host_process *p)
{
	const char *path = arena_printf(a, "%s/%d/environ", proc, p->pid);
	size_t count = 0;
	ssize_t n;

	p->block = mem_zalloc(ENVIRONMENT_MAX);
	n = read_all(path, p->block, ENVIRONMENT_MAX);
	if (n < 0) {
		p->why = arena_printf(a, "its environment can't be read: %s",
		    strerror(errno));
		return;
	}
	p->len = (size_t)n;
	for (size_t i = 0; i < p->len; i++)
		count += p->block[i] == '\0';
	p->env = arena_alloc(a, (count + 2) * sizeof(*p->env));
	count = 0;
	for (size_t i = 0; i < p->len; i += strlen(p->block + i) + 1)
		p->env[count++] = p->block + i;
	p->env[count] = NULL;
}

void
host_find(struct arena *a, const char *proc,
    bool (*takes)(void *arg, enum host_role role, int pid), void *arg,
    struct host *out)
{
	DIR *dir = opendir(proc);
	const struct dirent *e;
	struct host h = {arena_alloc(a, PROCESSES_MAX * sizeof(*h.all)), 0};

	while (dir && h.n < PROCESSES_MAX && (e = readdir(dir)) != NULL) {
		struct host_process p = {.why = NULL};
		int64_t pid;

		if (enc_parse_i64(e->d_name, 1, PID_MAX, &pid) != RC_OK)
			continue;
		p.pid = (int)pid;
		if (!find_role(proc, p.pid, &p) || !takes(arg, p.role, p.pid))
			continue;
		p.name =
		    arena_printf(a, PREFIX "%s %d", roles[p.role].name, p.pid);
		read_environment(a, proc, &p);
		h.all[h.n++] = p;
	}
	if (dir)
		closedir(dir);
	*out = h;
}

void
host_fini(struct host *h)
{
	for (size_t i = 0; i < h->n; i++) {
		struct host_process *p = &h->all[i];

		cfg_free(p->cfg);
		if (p->block)
			explicit_bzero(p->block, ENVIRONMENT_MAX);
		free(p->block);
	}
	h->n = 0;
}
