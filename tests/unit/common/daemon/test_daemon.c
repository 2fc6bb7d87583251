#include "common/daemon/daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check.h"

static const struct cfg_key keys[] = {
    {"log_format", "CERTCTL_LOG_FORMAT", CFG_ENUM, "text|json", 0, 0, 0, ""},
    {"log_level", "CERTCTL_LOG_LEVEL", CFG_ENUM, "info|debug|warn|error", 0, 0,
	0, ""},
    {"process_name", "CERTCTL_PROCESS_NAME", CFG_STRING, "", 0, 128, 0, ""},
};

/* What ran, a letter a hook, and what the hooks are to do. */
struct part {
	char ran[32];
	char name[320];
	char incarnation[64];
	rc prepare_is, open_is;
	bool ends_at_stop;
};

static rc wait_is;
static struct part *waiting;

static void
note(struct part *p, char what)
{
	size_t n = strlen(p->ran);

	CHECK(n + 1 < sizeof(p->ran));
	p->ran[n] = what;
}

static rc
prepare(void *self, struct daemon *d)
{
	struct part *p = self;

	note(p, 'p');
	CHECK(d->loop != NULL);
	memcpy(p->name, d->name, sizeof(p->name));
	memcpy(p->incarnation, d->incarnation, sizeof(p->incarnation));
	waiting = p;
	return p->prepare_is;
}

static rc
wait_for(const struct daemon *d)
{
	note(waiting, 'w');
	return wait_is;
}

static rc
start(void *self, struct daemon *d)
{
	struct part *p = self;

	note(p, 'o');
	if (p->open_is == RC_OK)
		CHECK_INT(raise(SIGHUP), 0);
	return p->open_is;
}

static void
reload(void *self, struct daemon *d)
{
	note(self, 'r');
	CHECK_INT(raise(SIGTERM), 0);
}

static void
stop(void *self, struct daemon *d)
{
	struct part *p = self;

	note(p, 's');
	d->exit_status = 7;
	if (p->ends_at_stop)
		loop_stop(d->loop);
	else
		CHECK_INT(raise(SIGINT), 0);
}

static void
finish(void *self, struct daemon *d)
{
	note(self, 'c');
	CHECK(d->loop != NULL && d->cfg != NULL);
}

static bool
command(int argc, char **argv, const struct cfg *cfg, int *out_exit)
{
	*out_exit = 5;
	return argc > 1 && strcmp(argv[1], "--own") == 0;
}

static int
run(struct part *p, const char *option)
{
	static const struct daemon_program program = {
	    .process = "test",
	    .purpose = "is a test",
	    .keys = keys,
	    .nkeys = ARRAY_LEN(keys),
	    .extra_help = "  --own  does its own\n",
	    .name_key = "process_name",
	    .command = command,
	    .prepare = prepare,
	    .wait = wait_for,
	    .open = start,
	    .reload = reload,
	    .stop = stop,
	    .close = finish,
	};
	char name[] = "certctl-test", text[32] = "";
	char *argv[] = {name, option ? text : NULL, NULL};

	if (option)
		memcpy(text, option, strlen(option) + 1);
	return daemon_main(option ? 2 : 1, argv, &program, p);
}

static void
test_life(void)
{
	struct part p = {.ends_at_stop = true};

	CHECK_INT(setenv("CERTCTL_PROCESS_NAME", "one", 1), 0);
	CHECK_INT(run(&p, NULL), 7);
	CHECK_STR(p.ran, "pworsc");
	CHECK_STR(p.name, "one");
	CHECK_INT(unsetenv("CERTCTL_PROCESS_NAME"), 0);
}

static void
test_second_signal(void)
{
	struct part p = {.ends_at_stop = false};

	/* Nothing else would end this loop. */
	CHECK_INT(run(&p, NULL), 7);
	CHECK_STR(p.ran, "pworsc");
}

static void
test_names(void)
{
	struct part a = {.prepare_is = RC_INVALID}, b = a;
	char end[32], host[256] = "";

	(void)snprintf(end, sizeof(end), "-%ld", (long)getpid());
	CHECK_INT(gethostname(host, sizeof(host) - 1), 0);
	CHECK_INT(run(&a, NULL), 1);
	CHECK_INT(run(&b, NULL), 1);
	CHECK(strncmp(a.name, host, strlen(host)) == 0);
	CHECK_STR(a.name + strlen(host), end);
	CHECK(strncmp(a.incarnation, "test-", 5) == 0);
	CHECK(strcmp(a.incarnation, b.incarnation) != 0);
}

/* A start that fails ends there, and what was made is freed. */
static void
test_failures(void)
{
	struct part p = {.prepare_is = RC_INVALID};
	struct part w = {.ends_at_stop = true};
	struct part o = {.open_is = RC_IO};

	CHECK_INT(run(&p, NULL), 1);
	CHECK_STR(p.ran, "pc");
	wait_is = RC_UNAVAILABLE;
	CHECK_INT(run(&w, NULL), 1);
	CHECK_STR(w.ran, "pwc");
	wait_is = RC_OK;
	CHECK_INT(run(&o, NULL), 1);
	CHECK_STR(o.ran, "pwoc");
}

static void
test_options(void)
{
	struct part p = {.ends_at_stop = true};

	CHECK_INT(run(&p, "--own"), 5);
	CHECK_INT(run(&p, "--unknown"), 2);
	CHECK_STR(p.ran, "");
	CHECK_INT(run(&p, "--check-config"), 0);
	CHECK_STR(p.ran, "pc");
	p = (struct part){.prepare_is = RC_INVALID};
	CHECK_INT(run(&p, "--check-config"), 1);
	CHECK_STR(p.ran, "pc");
	/* What means nothing is no good configuration, and no bar to a
	 * start. */
	CHECK_INT(setenv("CERTCTL_NONSENSE", "1", 1), 0);
	p = (struct part){.ends_at_stop = true};
	CHECK_INT(run(&p, "--check-config"), 3);
	p = (struct part){.prepare_is = RC_INVALID};
	CHECK_INT(run(&p, "--check-config"), 1);
	p = (struct part){.ends_at_stop = true};
	CHECK_INT(run(&p, NULL), 7);
	CHECK_INT(unsetenv("CERTCTL_NONSENSE"), 0);
}

CHECK_MAIN(CHECK_ROW(test_life), CHECK_ROW(test_second_signal),
    CHECK_ROW(test_names), CHECK_ROW(test_failures), CHECK_ROW(test_options))
