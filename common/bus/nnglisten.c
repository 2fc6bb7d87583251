#include "common/bus/nnglisten.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/supplemental/tls/tls.h>

#include "common/base/mem.h"
#include "common/log/log.h"

#define IPC_PREFIX "ipc://"
/* Listeners whose path was lost and that still have connections; past that
 * the oldest ends, and its peers dial anew. */
#define FORMER_MAX 8

struct nnglisten {
	nng_socket sock;
	char url[BUS_URL_SIZE];
	const char *path; /* in url; NULL: no socket file */
	nng_listener listener;
	uint64_t refused; /* of its statistics, as last read */
	dev_t dev;        /* of the socket file that is ours */
	ino_t ino;
	bool has_file; /* the public path was made ours at least once */
	bool is_told;  /* why it does not listen at its path just now */
	nng_listener former[FORMER_MAX];
	size_t n_former;
};

/* --- socket files --- */

static bool
path_of(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(out->sun_path))
		return false;
	memcpy(out->sun_path, path, strlen(path) + 1);
	return true;
}

/* Whether a living process takes connections at this socket file.  A full
 * queue (EAGAIN) is one as well, and so is what we may not ask. */
static bool
is_answered(const char *path)
{
	struct sockaddr_un sun;
	int fd, why;

	if (!path_of(path, &sun))
		return true;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	why =
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ? 0 : errno;
	(void)close(fd);
	return why != ECONNREFUSED && why != ENOENT;
}

/* A socket file that a dead process left. */
static bool
is_left_over(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       !is_answered(path);
}

static bool
is_ours(const struct nnglisten *l)
{
	struct stat st;

	return l->has_file && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
	       st.st_ino == l->ino;
}

/* A name in the same directory, not longer than the shortest public one. */
static void
private_url(const struct nnglisten *l, char out[BUS_URL_SIZE + 16])
{
	static unsigned count;
	const char *slash = strrchr(l->url, '/');

	(void)snprintf(out, BUS_URL_SIZE + 16, "%.*s/.%x.%x",
	    (int)(slash - l->url), l->url, (unsigned)getpid(), count++);
}

/* Gives the private name's socket the public name. */
static rc
publish(struct nnglisten *l, const char *private)
{
	struct stat st;
	bool is_made;
	int why;

	if (lstat(private, &st) != 0)
		return RC_IO;
	is_made = link(private, l->path) == 0;
	why = errno;
	if (!is_made && why == EEXIST && is_left_over(l->path)) {
		(void)unlink(l->path);
		is_made = link(private, l->path) == 0;
		why = errno;
	}
	(void)unlink(private);
	if (!is_made) {
		errno = why;
		return why == EEXIST ? RC_BUSY : RC_IO;
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->has_file = true;
	return RC_OK;
}

/* 0600; 0660 where the directory is shared with a group. */
static int
file_mode(const char *path)
{
	CLEANUP(mem_freep) char *dir = mem_strdup(path);
	struct stat st;
	char *slash = strrchr(dir, '/');

	if (slash)
		slash[slash == dir ? 1 : 0] = '\0';
	if (stat(dir, &st) != 0)
		return 0600;
	return st.st_mode & 0070 ? 0660 : 0600;
}

/* --- listening --- */

static rc
failed(struct nnglisten *l, const char *why, rc code)
{
	if (!l->is_told)
		log_error("BUS-SOCKET", "cannot listen on %s: %s", l->url, why);
	l->is_told = true;
	return code;
}

static rc
listen_tcp(struct nnglisten *l, struct nng_tls_config *cfg)
{
	nng_listener ln;
	int rv;

	rv = nng_listener_create(&ln, l->sock, l->url);
	if (rv == 0 && cfg)
		rv = nng_listener_set_ptr(ln, NNG_OPT_TLS_CONFIG, cfg);
	if (rv == 0)
		rv = nng_listener_start(ln, 0);
	if (rv != 0)
		return failed(l, nng_strerror(rv),
		    rv == NNG_EADDRINUSE ? RC_BUSY : RC_IO);
	l->listener = ln;
	return RC_OK;
}

static rc
listen_ipc(struct nnglisten *l)
{
	char private[BUS_URL_SIZE + 16];
	nng_listener ln = NNG_LISTENER_INITIALIZER;
	int rv;
	rc ret;

	private_url(l, private);
	rv = nng_listener_create(&ln, l->sock, private);
	if (rv == 0)
		rv = nng_listener_set_int(ln, NNG_OPT_IPC_PERMISSIONS,
		    file_mode(l->path));
	if (rv == 0)
		rv = nng_listener_start(ln, 0);
	if (rv != 0) {
		(void)nng_listener_close(ln);
		return failed(l, nng_strerror(rv), RC_IO);
	}
	ret = publish(l, private + strlen(IPC_PREFIX));
	if (ret != RC_OK) {
		ret = failed(l,
		    ret == RC_BUSY ? "somebody else listens there, or the path "
				     "is no socket"
				   : strerror(errno),
		    ret);
		/* Nobody could find it: it has no connections. */
		(void)nng_listener_close(ln);
		return ret;
	}
	l->listener = ln;
	l->is_told = false;
	return RC_OK;
}

rc
nnglisten_new(nng_socket sock, const struct bus_addr *addr, enum bus_link link,
    struct nng_tls_config *cfg, struct nnglisten **out)
{
	struct nnglisten *l = mem_zalloc(sizeof(*l));
	rc ret;

	l->sock = sock;
	memcpy(l->url, addr->url[link], sizeof(l->url));
	if (addr->is_ipc) {
		l->path = l->url + strlen(IPC_PREFIX);
		ret = listen_ipc(l);
	} else {
		ret = listen_tcp(l, cfg);
	}
	if (ret != RC_OK) {
		free(l);
		return ret;
	}

	*out = l;
	return RC_OK;
}

void
nnglisten_free(struct nnglisten *l)
{
	if (!l)
		return;
	if (is_ours(l))
		(void)unlink(l->path);
	free(l);
}

/* --- statistics --- */

/* nng_stat_find_listener of nng 1.5 gives the first one whatever is asked. */
static nng_stat *
find_listener(nng_stat *in, uint64_t id)
{
	nng_stat *found = NULL, *its_id;

	for (nng_stat *s = nng_stat_child(in); s && !found;
	     s = nng_stat_next(s)) {
		its_id = strcmp(nng_stat_name(s), "listener") == 0
			     ? nng_stat_find(s, "id")
			     : NULL;
		if (its_id && nng_stat_value(its_id) == id)
			return s;
		found = find_listener(s, id);
	}
	return found;
}

static bool
read_stat(nng_listener ln, const char *name, uint64_t *out)
{
	nng_stat *all, *its, *value;

	if (nng_stats_get(&all) != 0)
		return false;
	its = find_listener(all, ln.id);
	value = its ? nng_stat_find(its, name) : NULL;
	if (value)
		*out = nng_stat_value(value);
	nng_stats_free(all);
	return value != NULL;
}

uint64_t
nnglisten_refused(struct nnglisten *l)
{
	uint64_t before = l->refused;

	(void)read_stat(l->listener, "auth", &l->refused);
	return l->refused - before;
}

/* --- staying reachable --- */

/* Ending a listener ends its connections too: those that have none go. */
static void
end_former(struct nnglisten *l)
{
	uint64_t pipes;
	size_t kept = 0;

	for (size_t i = 0; i < l->n_former; i++) {
		pipes = 0;
		if (read_stat(l->former[i], "pipes", &pipes) && pipes > 0)
			l->former[kept++] = l->former[i];
		else
			(void)nng_listener_close(l->former[i]);
	}
	l->n_former = kept;
}

static void
keep_former(struct nnglisten *l, nng_listener former)
{
	if (l->n_former == FORMER_MAX) {
		(void)nng_listener_close(l->former[0]);
		memmove(l->former, l->former + 1,
		    --l->n_former * sizeof(l->former[0]));
	}
	l->former[l->n_former++] = former;
}

void
nnglisten_look(struct nnglisten *l)
{
	nng_listener former = l->listener;
	struct stat st;
	bool is_gone;

	if (l->n_former > 0)
		end_former(l);
	if (!l->path || is_ours(l))
		return;
	is_gone = lstat(l->path, &st) != 0;
	if (!is_gone && !is_left_over(l->path)) {
		if (!l->is_told)
			log_error("BUS-PATH-TAKEN",
			    "%s is another's now: processes that start reach "
			    "that one; this one listens there again when the "
			    "path is free",
			    l->path);
		l->is_told = true;
		return;
	}
	if (listen_ipc(l) != RC_OK)
		return; /* logged; the next look tries again */
	keep_former(l, former);
	log_warn("BUS-RELISTEN", "%s was %s, listening there anew", l->path,
	    is_gone ? "removed" : "replaced by one that nobody listens on");
}

rc
nnglisten_set_tls(struct nnglisten *l, struct nng_tls_config *cfg)
{
	int rv = nng_listener_set_ptr(l->listener, NNG_OPT_TLS_CONFIG, cfg);

	if (rv != 0)
		log_error("BUS-TLS", "%s: %s", l->url, nng_strerror(rv));
	return rv == 0 ? RC_OK : RC_IO;
}
