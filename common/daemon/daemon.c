#include "common/daemon/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/rand.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"

enum { EXIT_REFUSED = 1, EXIT_UNREAD = 3 };

/* --- start --- */

static enum log_level
level_of(const char *name)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
	    {"debug", LOG_DEBUG},
	    {"info", LOG_INFO},
	    {"warn", LOG_WARN},
	    {"error", LOG_ERROR},
	};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (strcmp(name, levels[i].name) == 0)
			return levels[i].level;
	}
	log_fatal("CONFIG-LEVEL", "no such log level: %s", name);
}

static void
warn_unread(const char *line, bool is_unknown)
{
	if (is_unknown)
		log_warn("CONFIG-UNREAD", "%s", line);
}

static void
make_names(struct daemon *d)
{
	const char *key = d->program->name_key;
	const char *name = key ? cfg_str(d->cfg, key) : "";

	if (gethostname(d->host, sizeof(d->host) - 1) != 0)
		(void)snprintf(d->host, sizeof(d->host), "localhost");
	if (name[0])
		(void)snprintf(d->name, sizeof(d->name), "%s", name);
	else
		(void)snprintf(d->name, sizeof(d->name), "%s-%ld", d->host,
		    (long)getpid());
	rand_id(d->program->process, d->incarnation);
}

/* --- signals --- */

static void
on_stop(void *arg)
{
	struct daemon *d = arg;

	if (d->is_stopping) {
		log_warn("STOPPING", "asked twice: stopping at once");
		loop_stop(d->loop);
		return;
	}
	d->is_stopping = true;
	log_info("STOPPING", "asked to stop");
	d->program->stop(d->self, d);
}

static void
on_reload(void *arg)
{
	struct daemon *d = arg;

	d->program->reload(d->self, d);
}

static rc
hook_signals(struct daemon *d)
{
	rc ret;

	ret = loop_on_signal(d->loop, SIGTERM, on_stop, d);
	if (ret == RC_OK)
		ret = loop_on_signal(d->loop, SIGINT, on_stop, d);
	if (ret == RC_OK && d->program->reload)
		ret = loop_on_signal(d->loop, SIGHUP, on_reload, d);
	return ret;
}

/* --- lines that peers cause --- */

static void
on_held(void *arg)
{
	struct daemon *d = arg;

	timer_arm(d->peer_lines, LOG_PEER_EVERY_MS);
}

static void
on_peer_lines(void *arg)
{
	if (log_peer_flush(false))
		on_held(arg);
}

static void
open_peer_lines(struct daemon *d)
{
	d->peer_lines = timer_new(d->loop, on_peer_lines, d);
	log_peer_on_held(on_held, d);
}

static void
close_peer_lines(struct daemon *d)
{
	log_peer_on_held(NULL, NULL);
	timer_free(d->peer_lines);
	(void)log_peer_flush(true); /* nothing stays */
}

/* --- the whole --- */

/* --check-config: makes what can be made without a database.  Returns the exit
 * status. */
static int
check(struct daemon *d, const char *title)
{
	const struct daemon_program *p = d->program;
	size_t nunknown = cfg_unread(title, p->keys, p->nkeys, NULL);
	rc (*hook)(void *, struct daemon *) = p->check ? p->check : p->prepare;
	rc ret;

	d->home = db_home_new();
	ret = loop_new(&d->loop);
	if (ret == RC_OK && hook)
		ret = hook(d->self, d);
	p->close(d->self, d);
	loop_free(d->loop);
	db_home_free(d->home);
	if (ret != RC_OK)
		return EXIT_REFUSED;
	if (nunknown > 0) {
		(void)printf("%s: would start, but of the environment %zu "
			     "variables mean nothing\n",
		    title, nunknown);
		return EXIT_UNREAD;
	}
	(void)printf("%s: the configuration is good\n", title);
	return 0;
}

static rc
serve(struct daemon *d)
{
	const struct daemon_program *p = d->program;
	rc ret;

	d->home = db_home_new();
	ret = loop_new(&d->loop);
	if (ret == RC_OK)
		open_peer_lines(d);
	if (ret == RC_OK && p->prepare)
		ret = p->prepare(d->self, d);
	/* Before signals are taken: until then a signal just ends us. */
	if (ret == RC_OK && p->wait)
		ret = p->wait(d);
	if (ret == RC_OK)
		ret = hook_signals(d);
	if (ret == RC_OK)
		ret = p->open(d->self, d);
	if (ret == RC_OK) {
		ret = loop_run(d->loop);
		log_info("STOPPED", "%s: %s", d->name, rc_name(ret));
	}
	p->close(d->self, d);
	close_peer_lines(d);
	loop_free(d->loop);
	db_home_free(d->home);
	return ret;
}

int
daemon_main(int argc, char **argv, const struct daemon_program *program,
    void *self)
{
	struct daemon d = {.program = program, .self = self};
	char title[64];
	bool is_check;
	int status;

	(void)snprintf(title, sizeof(title), "certctl-%s", program->process);
	if (cfg_main(argc, argv, title, program->purpose, program->keys,
		program->nkeys, program->extra_help, &d.cfg, &is_check,
		&status))
		return status;
	log_init(program->process, level_of(cfg_str(d.cfg, "log_level")),
	    strcmp(cfg_str(d.cfg, "log_format"), "json") == 0);
	make_names(&d);
	if (!is_check && program->command &&
	    program->command(argc, argv, d.cfg, &status)) {
		cfg_free(d.cfg);
		return status;
	}
	if (is_check) {
		status = check(&d, title);
	} else {
		(void)cfg_unread(title, program->keys, program->nkeys,
		    warn_unread);
		status = serve(&d) == RC_OK ? d.exit_status : EXIT_REFUSED;
	}
	cfg_free(d.cfg);
	return status;
}
