#include "cli/doctor/settings.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/attr.h"

enum { SAID_MAX = 64 * 1024 };

/* --- as the program would read them --- */

/* What is said on standard error between begin and end; NULL: it can't be
 * caught. */
struct caught {
	int before;
	int file;
};

static bool
catch_begin(struct caught *c)
{
	c->file = memfd_create("doctor", MFD_CLOEXEC);
	c->before = dup(STDERR_FILENO);
	if (c->file < 0 || c->before < 0)
		return false;
	(void)fflush(stderr);
	return dup2(c->file, STDERR_FILENO) >= 0;
}

static const char *
catch_end(struct arena *a, struct caught *c)
{
	char *text = arena_alloc(a, SAID_MAX + 1);
	ssize_t n;

	(void)fflush(stderr);
	(void)dup2(c->before, STDERR_FILENO);
	n = pread(c->file, text, SAID_MAX, 0);
	text[n > 0 ? n : 0] = '\0';
	close(c->file);
	close(c->before);
	return text;
}

static void
say_unread(const char *line, bool is_unknown)
{
	if (is_unknown)
		(void)fprintf(stderr, "%s\n", line);
}

/* Each line is a finding. */
static void
say_lines(struct doctor *d, enum doctor_level level, const char *name,
    const char *text)
{
	static const char prefix[] = "configuration: ";

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (strncmp(text, prefix, strlen(prefix)) == 0)
			text += strlen(prefix), n -= strlen(prefix);
		if (n > 0)
			doctor_say(d, level, DOCTOR_settings, name, "%.*s",
			    (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void
check_process(struct doctor *d, struct host_process *p)
{
	char **before = environ;
	const char *refused, *unread;
	const struct cfg_key *keys;
	struct caught c;
	size_t n;
	rc ret;

	keys = host_keys(p->role, &n);
	if (!catch_begin(&c)) {
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_settings, p->name,
		    "its settings could not be tried");
		return;
	}
	environ = p->env;
	ret = cfg_load(keys, n, &p->cfg);
	environ = before;
	refused = catch_end(d->arena, &c);
	if (ret != RC_OK) {
		p->cfg = NULL;
		say_lines(d, DOCTOR_ERROR, p->name, refused);
		return;
	}
	if (!catch_begin(&c))
		return;
	environ = p->env;
	n = cfg_unread(p->name, keys, n, say_unread);
	environ = before;
	unread = catch_end(d->arena, &c);
	if (n > 0)
		say_lines(d, DOCTOR_WARNING, p->name, unread);
	else
		doctor_say(d, DOCTOR_OK, DOCTOR_settings, p->name,
		    "its settings are good");
}

void
doctor_check_settings(struct doctor *d, struct host *h)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->all[i].env)
			check_process(d, &h->all[i]);
	}
}

/* --- what two of them say --- */

/* What has to be the same wherever it is read. */
static const char *const shared[] = {"CERTCTL_ACME_SERVER_ENABLED",
    "CERTCTL_BLOCK_RFC1918_OUTBOUND", "CERTCTL_BUS_URLS",
    "CERTCTL_CA_ENCRYPTION_KEY", "CERTCTL_CONFIG_ENCRYPTION_KEY",
    "CERTCTL_DIGEST_ENABLED", "CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK"};

static const struct cfg_key *
find_key(enum host_role role, const char *name)
{
	size_t n;
	const struct cfg_key *keys = host_keys(role, &n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].env, name) == 0)
			return &keys[i];
	}
	return NULL;
}

/* What is in force; NULL: it does not read it, or what is in a file. */
static const char *
value_in(const struct host_process *p, const char *name)
{
	const struct cfg_key *key = p->env ? find_key(p->role, name) : NULL;
	const char *value = key ? host_variable(p, name) : NULL;
	char file[128];

	if (!key)
		return NULL;
	(void)snprintf(file, sizeof(file), "%s_FILE", name);
	if (host_variable(p, file))
		return NULL;
	return value && value[0] ? value : key->dflt;
}

static bool
agrees(struct doctor *d, const struct host *h, const char *name)
{
	const struct host_process *first = NULL;
	const char *value;

	for (size_t i = 0; i < h->n; i++) {
		value = value_in(&h->all[i], name);
		if (!value)
			continue;
		if (!first) {
			first = &h->all[i];
		} else if (strcmp(value, value_in(first, name)) != 0) {
			/* Never the values: some are secrets. */
			doctor_say(d, DOCTOR_WARNING, DOCTOR_settings_agree,
			    h->all[i].name, "%s is not as that of %s", name,
			    first->name);
			return false;
		}
	}
	return true;
}

void
doctor_check_agreement(struct doctor *d, const struct host *h)
{
	bool all = true;
	size_t seen = 0;

	for (size_t i = 0; i < h->n; i++)
		seen += h->all[i].env != NULL;
	if (seen < 2)
		return;
	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		all = agrees(d, h, shared[i]) && all;
	if (all)
		doctor_say(d, DOCTOR_OK, DOCTOR_settings_agree, "",
		    "what %zu processes here have to say alike is alike", seen);
}

/* --- time-outs --- */

/* times left of a have to fit into right. */
static const struct fit {
	enum host_role left_role;
	const char *left;
	const char *factor; /* a setting of the left, or NULL */
	int64_t times;
	enum host_role right_role;
	const char *right;
	const char *what;
} fits[] = {
    {HOST_AGENT, "heartbeat_interval", NULL, 2, HOST_SCHEDULER,
	"agent_offline_after",
	"an agent that misses one heartbeat counts as offline"},
    {HOST_AGENT, "heartbeat_interval", NULL, 2, HOST_SCHEDULER,
	"agent_rescue_after",
	"what an agent deploys is taken from it after one missed heartbeat"},
    {HOST_AGENT, "verify_timeout", "verify_attempts", 1, HOST_SCHEDULER,
	"agent_rescue_after",
	"a deployment that is still being verified counts as abandoned"},
    {HOST_AGENT, "served_interval", NULL, 1, HOST_AGENT, "served_repeat",
	"an agent is to repeat more often than it looks"},
};

static const char *
variable_of(enum host_role role, const char *name)
{
	size_t n;
	const struct cfg_key *keys = host_keys(role, &n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].name, name) == 0)
			return keys[i].env;
	}
	return name;
}

static void
check_fit(struct doctor *d, const struct fit *f, const struct host_process *l,
    const struct host_process *r)
{
	int64_t left = cfg_int(l->cfg, f->left) * f->times;
	int64_t right = cfg_int(r->cfg, f->right);

	if (f->factor)
		left *= cfg_int(l->cfg, f->factor);
	if (left <= right)
		return;
	doctor_say(d, DOCTOR_WARNING, DOCTOR_timeouts, l->name,
	    "%s: %s%s%s is %lld s and %s of %s %lld s", f->what,
	    variable_of(f->left_role, f->left), f->factor ? " times " : "",
	    f->factor       ? variable_of(f->left_role, f->factor)
	    : f->times == 2 ? " twice"
			    : "",
	    (long long)(left / 1000), variable_of(f->right_role, f->right),
	    r->name, (long long)(right / 1000));
}

void
doctor_check_timeouts(struct doctor *d, const struct host *h)
{
	size_t before = d->n, compared = 0;

	for (size_t i = 0; i < ARRAY_LEN(fits) * h->n * h->n; i++) {
		const struct fit *f = &fits[i / (h->n * h->n)];
		const struct host_process *l = &h->all[i / h->n % h->n];
		const struct host_process *r = &h->all[i % h->n];
		bool same = f->left_role == f->right_role;

		if (l->role != f->left_role || r->role != f->right_role ||
		    !l->cfg || !r->cfg || (same && l != r))
			continue;
		compared++;
		check_fit(d, f, l, r);
	}
	if (compared == 0)
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_timeouts, "",
		    "no agent and scheduler run here whose time-outs could be "
		    "compared");
	else if (d->n == before)
		doctor_say(d, DOCTOR_OK, DOCTOR_timeouts, "",
		    "the time-outs of the processes here fit one another");
}
