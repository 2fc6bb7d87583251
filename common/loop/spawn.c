#include "common/loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/loop/loop_int.h"

enum { OUTPUT_MAX = 8192 };

struct spawn {
	struct loop_guest guest;
	struct loop *loop;
	pid_t pid; /* 0 once it was reaped: never signal it then */
	int fd;    /* read end of the capture, -1 when closed */
	/*
	 * Deleted exactly once: when several signals came in one turn and the
	 * event is deleted from its callback, libevent 2.1 leaves a pointer to
	 * its own stack in it, and a second event_del writes there.
	 */
	struct event on_child;
	bool has_on_child;
	struct event on_output;
	struct timer *deadline;
	spawn_done_fn *done; /* NULL once called or cancelled */
	void *arg;
	bool keep_end, may_leave_some;
	size_t len;
	char output[OUTPUT_MAX + 1];
};

static void
stop_waiting(struct spawn *s)
{
	if (s->has_on_child)
		event_del(&s->on_child);
	s->has_on_child = false;
}

static void
spawn_free(void *arg)
{
	struct spawn *s = arg;

	stop_waiting(s);
	if (s->fd >= 0) {
		event_del(&s->on_output);
		close(s->fd);
	}
	timer_free(s->deadline);
	free(s);
}

/* The loop ends while a killed child is not reaped yet: init will do it. */
static void
spawn_leave(struct loop_guest *g)
{
	/* The guest is the first member. */
	spawn_free((struct spawn *)g);
}

static void
stop_reading(struct spawn *s)
{
	if (s->fd < 0)
		return;
	event_del(&s->on_output);
	close(s->fd);
	s->fd = -1;
}

/* The older half makes room, where it is the end that counts. */
static void
make_room(struct spawn *s)
{
	if (!s->keep_end || s->len < OUTPUT_MAX)
		return;
	s->len = OUTPUT_MAX / 2;
	memmove(s->output, s->output + s->len, s->len);
}

/* Reads what is there; past the cap it is dropped so that the program is
 * never blocked on a full pipe.  At most a megabyte a turn. */
static void
drain(struct spawn *s)
{
	char rest[4096];
	size_t room;
	ssize_t n;

	for (int i = 0; i < 256 && s->fd >= 0; i++) {
		make_room(s);
		room = OUTPUT_MAX - s->len;
		if (room > 0)
			n = read(s->fd, s->output + s->len, room);
		else
			n = read(s->fd, rest, sizeof(rest));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			stop_reading(s);
			return;
		}
		if (room > 0)
			s->len += (size_t)n;
	}
}

static void
report(struct spawn *s, rc code, int exit_status)
{
	spawn_done_fn *done = s->done;

	if (!done)
		return;
	drain(s);
	stop_reading(s);
	timer_disarm(s->deadline);
	s->done = NULL;
	/* Foreign bytes become one text. */
	for (size_t i = 0; i < s->len; i++) {
		if (s->output[i] == '\0')
			s->output[i] = '?';
	}
	s->output[s->len] = '\0';
	done(s->arg, code, exit_status, s->output);
}

static void
kill_group(struct spawn *s)
{
	if (s->pid > 0)
		(void)kill(-s->pid, SIGKILL); /* gone already is as good */
}

static void
on_child(evutil_socket_t fd, short what, void *arg)
{
	struct spawn *s = arg;
	siginfo_t ended = {0};
	int status = 0, seen;
	pid_t pid;

	if (s->pid == 0)
		return;
	/* Only our own: other parts may have children too.  It is not reaped
	 * yet, so its number, which is its group's, is nobody else's. */
	seen = waitid(P_PID, (id_t)s->pid, &ended, WEXITED | WNOHANG | WNOWAIT);
	if ((seen == 0 && ended.si_pid == 0) || (seen < 0 && errno == EINTR))
		return;
	if (seen == 0 && !s->may_leave_some)
		kill_group(s);
	pid = waitpid(s->pid, &status, WNOHANG);
	s->pid = 0;
	stop_waiting(s);
	LIST_REMOVE(&s->guest, entry);
	loop_defer(s->loop, spawn_free, s);
	if (pid < 0)
		report(s, RC_IO, -1);
	else if (WIFSIGNALED(status))
		report(s, RC_OK, 128 + WTERMSIG(status));
	else
		report(s, RC_OK, WEXITSTATUS(status));
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	drain(arg);
}

/* Answers at once: a child in an uninterruptible wait dies later, and is
 * reaped then. */
static void
on_deadline(void *arg)
{
	struct spawn *s = arg;

	kill_group(s);
	report(s, RC_TIMEOUT, 128 + SIGKILL);
}

/* The environment without our own variables: some of them are secrets. */
static const char **
clean_environment(const char *const *more, bool only_more)
{
	char **inherited = only_more ? NULL : environ;
	const char **env;
	size_t n = 0;

	for (char **e = inherited; e && *e; e++)
		n++;
	for (size_t i = 0; more && more[i]; i++)
		n++;
	env = mem_zalloc((n + 1) * sizeof(*env));
	n = 0;
	for (char **e = inherited; e && *e; e++) {
		if (strncmp(*e, "CERTCTL_", 8) != 0)
			env[n++] = *e;
	}
	for (size_t i = 0; more && more[i]; i++)
		env[n++] = more[i];
	return env;
}

static int
child_setup(posix_spawn_file_actions_t *fa, posix_spawnattr_t *at, int out,
    bool stderr_only)
{
	sigset_t none, defaults;
	int err;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE); /* ignored here, and that is inherited */
	sigaddset(&defaults, SIGCHLD);
	err = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	if (!err && stderr_only)
		err = posix_spawn_file_actions_addopen(fa, 1, "/dev/null",
		    O_WRONLY, 0);
	else if (!err)
		err = posix_spawn_file_actions_adddup2(fa, out, 1);
	if (!err)
		err = posix_spawn_file_actions_adddup2(fa, out, 2);
	if (!err)
		err = posix_spawn_file_actions_addclosefrom_np(fa, 3);
	if (!err)
		err = posix_spawnattr_setpgroup(at, 0);
	if (!err)
		err = posix_spawnattr_setsigmask(at, &none);
	if (!err)
		err = posix_spawnattr_setsigdefault(at, &defaults);
	if (!err)
		err = posix_spawnattr_setflags(at, POSIX_SPAWN_SETPGROUP |
						       POSIX_SPAWN_SETSIGMASK |
						       POSIX_SPAWN_SETSIGDEF);
	return err;
}

static int
start_child(const struct spawn_opts *opts, int out, pid_t *out_pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	const char **env = clean_environment(opts->env, opts->env_only);
	int err;

	err = posix_spawn_file_actions_init(&fa);
	if (err)
		goto out_env;
	err = posix_spawnattr_init(&at);
	if (err)
		goto out_actions;
	err = child_setup(&fa, &at, out, opts->stderr_only);
	/* POSIX promises that neither array is written to. */
	if (!err)
		err = posix_spawnp(out_pid, opts->argv[0], &fa, &at,
		    (char *const *)opts->argv, (char *const *)env);
	posix_spawnattr_destroy(&at);
out_actions:
	posix_spawn_file_actions_destroy(&fa);
out_env:
	free(env);
	return err;
}

rc
spawn_start(struct loop *l, const char *const *argv, int64_t timeout_ms,
    spawn_done_fn *done, void *arg, struct spawn **out)
{
	struct spawn_opts opts = {.argv = argv, .timeout_ms = timeout_ms};

	return spawn_run(l, &opts, done, arg, out);
}

rc
spawn_run(struct loop *l, const struct spawn_opts *opts, spawn_done_fn *done,
    void *arg, struct spawn **out)
{
	struct spawn *s;
	int fds[2], err;

	if (!l->base || !opts->argv[0] || pipe2(fds, O_CLOEXEC) < 0)
		return RC_IO;
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK); /* our end only */
	s = mem_zalloc(sizeof(*s));
	s->loop = l;
	s->fd = fds[0];
	s->done = done;
	s->arg = arg;
	s->keep_end = opts->keep_end;
	s->may_leave_some = opts->may_leave_some;
	s->guest.leave = spawn_leave;
	s->deadline = timer_new(l, on_deadline, s);
	evsignal_assign(&s->on_child, l->base, SIGCHLD, on_child, s);
	s->has_on_child = true;
	event_assign(&s->on_output, l->base, s->fd, EV_READ | EV_PERSIST,
	    on_output, s);
	/* Before the start: the child may end before the call returns. */
	if (event_add(&s->on_child, NULL) < 0 ||
	    event_add(&s->on_output, NULL) < 0)
		err = EIO;
	else
		err = start_child(opts, fds[1], &s->pid);
	close(fds[1]);
	if (err) {
		spawn_free(s);
		errno = err;
		return RC_IO;
	}
	LIST_INSERT_HEAD(&l->guests, &s->guest, entry);
	timer_arm(s->deadline, opts->timeout_ms);
	*out = s;
	return RC_OK;
}

void
spawn_cancel(struct spawn *s)
{
	if (!s)
		return;
	s->done = NULL;
	timer_disarm(s->deadline);
	stop_reading(s);
	kill_group(s);
}
