#include "deploy/test/loadtest/fleet/members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/home.h"
#include "agent/life.h"
#include "agent/poll.h"
#include "agent/stop.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/tls/tls_probe.h"

#define NAME_BYTES 80
#define PATH_BYTES 4096
/* Sockets of an agent: the poll's, and its share of the others that are kept.
 * Every agent's own would be two, more than a process may have at 10,000. */
#define SOCKETS_PERCENT 150
#define HTTP_DESCRIPTORS 4
/* Handshakes have two ends here; the rest is the process's own. */
#define OTHER_DESCRIPTORS (MEMBERS_PROBES * 2 + 256)

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "agent/cfg_keys.def"
#undef KEY
};

struct members {
	struct loop *loop;
	const struct opts *opts;
	struct homes homes;
	struct http_out **https;
	size_t nhttps;
	struct tls_prober *prober;
	struct member **all;
	size_t n; /* started */
	size_t known, standing, ended, beats;
};

size_t
members_descriptors(size_t agents, size_t homes)
{
	size_t n = agents * SOCKETS_PERCENT / 100 + OTHER_DESCRIPTORS;

	n += (agents / MEMBERS_A_HTTP + 1) * HTTP_DESCRIPTORS;
	return n + homes * HOME_DESCRIPTORS;
}

/* --- one of them --- */

static void
member_ended(struct agent *a)
{
	struct member *b = (struct member *)a;

	if (!b->has_ended)
		b->all->ended++;
	b->has_ended = true;
}

static const struct stop_hooks stop_hooks = {life_stop, life_is_idle,
    member_ended};

/* The first of its users took a place. */
static rc
open_home(struct member *b)
{
	rc ret = home_open(&b->agent);

	if (ret == RC_OK) {
		b->home_users++;
		return RC_OK;
	}
	home_close(&b->agent);
	homes_leave(&b->all->homes);
	return ret;
}

rc
member_open_home(struct member *b, struct home_wait *w)
{
	struct homes *h = &b->all->homes;

	if (b->home_users == 0)
		return homes_enter(h, w) ? open_home(b) : RC_BUSY;
	homes_forget(h, w);
	b->home_users++;
	return RC_OK;
}

void
member_forget_home(struct member *b, struct home_wait *w)
{
	homes_forget(&b->all->homes, w);
}

void
member_close_home(struct member *b)
{
	if (--b->home_users > 0)
		return;
	home_close(&b->agent);
	homes_leave(&b->all->homes);
}

void
member_look(struct member *b, bool beat, bool asks)
{
	if (!b->is_known && b->agent.id[0] != '\0') {
		b->is_known = true;
		b->all->known++;
	}
	if (beat) {
		b->beats++;
		b->all->beats++;
	}
	b->asks = b->asks || asks;
	if (!b->is_standing && b->is_known && b->beats > 0 && b->asks) {
		b->is_standing = true;
		b->all->standing++;
	}
}

static bool
set(const char *name, const char *value)
{
	if (setenv(name, value, 1) == 0)
		return true;
	log_error("FLEET", "%s: %s", name, strerror(errno));
	return false;
}

/* What is different for each. */
static rc
member_configure(struct member *b, const char *name)
{
	char dir[PATH_BYTES], key_dir[PATH_BYTES + 8];
	rc ret;

	(void)snprintf(dir, sizeof(dir), "%s/%s", b->all->opts->dir, name);
	(void)snprintf(key_dir, sizeof(key_dir), "%s/keys", dir);
	if (!set("CERTCTL_AGENT_NAME", name) ||
	    !set("CERTCTL_AGENT_STATE_DIR", dir) ||
	    !set("CERTCTL_KEY_DIR", key_dir))
		return RC_IO;
	ret = cfg_load(keys, ARRAY_LEN(keys), &b->cfg);
	if (ret != RC_OK)
		return ret;
	b->agent.cfg = b->cfg;
	(void)snprintf(b->agent.hostname, sizeof(b->agent.hostname),
	    "%s.fleet.example.test", name);
	return life_configure(&b->agent);
}

static void
member_free(struct member *b)
{
	life_end(&b->agent);
	cfg_free(b->cfg);
	free(b);
}

/* Its directories are open while it begins, for it reads them. */
static rc
member_begin(struct member *b)
{
	bool keeps = b->all->homes.most >= b->all->opts->agents;
	rc ret;

	homes_enter_now(&b->all->homes);
	ret = open_home(b);
	if (ret != RC_OK)
		return ret;
	ret = life_begin(&b->agent);
	if (!keeps || ret != RC_OK)
		member_close_home(b);
	member_look(b, false, b->agent.poll != NULL);
	return ret;
}

static rc
member_start(struct members *m, size_t i)
{
	struct member *b = mem_zalloc(sizeof(*b));
	struct agent *a = &b->agent;
	char name[NAME_BYTES];
	rc ret;

	m->all[m->n++] = b;
	b->all = m;
	a->loop = m->loop;
	a->key_dir_fd = a->journal_dir_fd = -1;
	a->served_dir_fd = a->state_dir_fd = -1;
	a->http = m->https[i / MEMBERS_A_HTTP];
	a->prober = m->prober;
	a->stop = stop_new(a, &stop_hooks);
	(void)snprintf(name, sizeof(name), "%s-%05zu", m->opts->prefix, i + 1);
	ret = member_configure(b, name);
	if (ret == RC_OK)
		ret = member_begin(b);
	return ret;
}

/* --- all of them --- */

/* What the fleet sets for each, and so nobody else. */
static rc
check_environment(void)
{
	static const char *const ours[] = {"CERTCTL_AGENT_NAME",
	    "CERTCTL_AGENT_ID", "CERTCTL_API_KEY", "CERTCTL_AGENT_STATE_DIR",
	    "CERTCTL_KEY_DIR", "CERTCTL_AGENT_COMMANDS",
	    "CERTCTL_AGENT_TARGET_DIRS", "CERTCTL_DISCOVERY_DIRS"};
	rc ret = RC_OK;

	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (!getenv(ours[i]))
			continue;
		log_error("CONFIG",
		    "%s is set, and that is the fleet's to set for each "
		    "agent: take it out of the environment",
		    ours[i]);
		ret = RC_INVALID;
	}
	return ret;
}

/* A configuration as each has it, for what they share. */
static rc
make_https(struct members *m)
{
	struct http_out_opts opts = {
	    .user_agent = "certctl-agent/" CERTCTL_VERSION};
	struct cfg *cfg;
	const char *ca;
	rc ret;

	ret = cfg_load(keys, ARRAY_LEN(keys), &cfg);
	if (ret != RC_OK)
		return ret;
	ca = cfg_str(cfg, "server_ca_bundle");
	opts.ca_file = ca[0] ? ca : NULL;
	opts.insecure = cfg_bool(cfg, "server_insecure");
	opts.keep_most = MEMBERS_A_HTTP * SOCKETS_PERCENT / 100;
	while (m->nhttps * MEMBERS_A_HTTP < m->opts->agents && ret == RC_OK) {
		ret = http_out_new(m->loop, &opts, &m->https[m->nhttps]);
		if (ret == RC_OK)
			m->nhttps++;
		else
			log_error("CONFIG",
			    "CERTCTL_SERVER_CA_BUNDLE_PATH \"%s\" cannot be "
			    "read as PEM certificates",
			    ca);
	}
	cfg_free(cfg);
	return ret;
}

static rc
make_dir(const char *dir)
{
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return RC_OK;
	log_error("FLEET", "--dir %s: %s", dir, strerror(errno));
	return RC_IO;
}

rc
members_new(struct loop *l, const struct opts *o, size_t homes,
    struct members **out)
{
	const struct tls_prober_opts probes = {.parallel = MEMBERS_PROBES};
	struct members *m = mem_zalloc(sizeof(*m));
	rc ret;

	m->loop = l;
	m->opts = o;
	m->homes.most = homes;
	m->all = mem_zalloc(o->agents * sizeof(struct member *));
	m->https = mem_zalloc(
	    (o->agents / MEMBERS_A_HTTP + 1) * sizeof(struct http_out *));
	ret = check_environment();
	if (ret == RC_OK)
		ret = make_dir(o->dir);
	if (ret == RC_OK &&
	    (!set("CERTCTL_AGENT_TARGET_DIRS", o->dir) ||
		!set("CERTCTL_AGENT_COMMANDS", "/usr/bin/true *")))
		ret = RC_IO;
	if (ret == RC_OK)
		ret = make_https(m);
	if (ret == RC_OK)
		ret = tls_prober_new(l, &probes, &m->prober);
	if (ret != RC_OK) {
		members_free(m);
		return ret;
	}
	*out = m;
	return RC_OK;
}

void
members_free(struct members *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		member_free(m->all[i]);
	for (size_t i = 0; i < m->nhttps; i++)
		http_out_free(m->https[i]);
	tls_prober_free(m->prober);
	free(m->https);
	free(m->all);
	free(m);
}

rc
members_start(struct members *m, size_t n)
{
	rc ret = RC_OK;

	for (; n > 0 && m->n < m->opts->agents && ret == RC_OK &&
	       !homes_are_full(&m->homes);
	     n--)
		ret = member_start(m, m->n);
	return ret;
}

void
members_stop(struct members *m)
{
	for (size_t i = 0; i < m->n; i++)
		stop_begin(&m->all[i]->agent, 0);
}

bool
members_are_idle(const struct members *m)
{
	for (size_t i = 0; i < m->n; i++) {
		if (!life_is_idle(&m->all[i]->agent))
			return false;
	}
	return true;
}

size_t
members_started(const struct members *m)
{
	return m->n;
}

size_t
members_known(const struct members *m)
{
	return m->known;
}

size_t
members_standing(const struct members *m)
{
	return m->standing;
}

size_t
members_ended(const struct members *m)
{
	return m->ended;
}

size_t
members_beats(const struct members *m)
{
	return m->beats;
}

const struct homes *
members_homes(const struct members *m)
{
	return &m->homes;
}

struct http_out *
members_http(struct members *m)
{
	return m->https[0];
}

const char *
members_url(const struct members *m)
{
	return m->all[0]->agent.server_url;
}
