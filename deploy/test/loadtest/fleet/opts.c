#include "deploy/test/loadtest/fleet/opts.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/base/enc.h"

#define FOR_MIN_MS 1000
#define FOR_MAX_MS (24LL * 3600 * 1000)
#define PREFIX_MAX 64

static const char help[] =
    "certctl-fleet: many agents in one process, each as certctl-agent is, and "
    "the TLS\nserver that they install certificates into.\n"
    "\n"
    "  --agents N            how many, 1 to 10000\n"
    "  --dir DIR             a directory of its own, 0700; each agent keeps "
    "state and\n"
    "                        keys in DIR/NAME, so a second run is the same "
    "agents\n"
    "  --prefix NAME         agents are NAME-00001, NAME-00002, ... (fleet)\n"
    "  --start-rate N        agents started a second (200)\n"
    "  --register-only       end when each has registered\n"
    "  --certificates FILE   ids of certificates that these agents renew, one "
    "a line;\n"
    "                        each has one target\n"
    "  --listen PORT         of the TLS server, on 127.0.0.1; targets' host "
    "and port\n"
    "  --ask N               ask for their renewal, N a second; else they are "
    "due when\n"
    "                        SIGUSR1 comes\n"
    "  --operator-key-file FILE   the API key that asks\n"
    "  --for DURATION        how long the renewals may take, or, without "
    "certificates,\n"
    "                        how long the agents stand (5m)\n"
    "  --out FILE            the figures, JSON (standard output)\n"
    "  --events FILE         a line of JSON a certificate: when it came to "
    "each point\n"
    "  --help\n"
    "\n"
    "Settings of the agents are certctl-agent's variables, the same for all: "
    "the\nserver's URL and CA bundle, the bootstrap token, heartbeats, polls. "
    "Name,\ndirectories, commands and discovery are the fleet's to set.\n"
    "\n"
    "A target's test and reload commands are\n"
    "  [\"/usr/bin/true\", \"test\", CERT_PATH, KEY_PATH]\n"
    "  [\"/usr/bin/true\", \"reload\", CERT_PATH, KEY_PATH]\n"
    "and load the pair into the server here; no other program is allowed.\n"
    "\n"
    "Says STANDING on standard output when each agent has had its first "
    "heartbeat and\nasks for work.  Exit status 0: every certificate was "
    "renewed once, served and\nreported, and nothing failed; 1: not so; 2: an "
    "option is bad.\n";

enum option_id {
	O_AGENTS = 256,
	O_DIR,
	O_PREFIX,
	O_START_RATE,
	O_REGISTER_ONLY,
	O_CERTIFICATES,
	O_ASK,
	O_OPERATOR_KEY_FILE,
	O_LISTEN,
	O_FOR,
	O_OUT,
	O_EVENTS,
	O_HELP,
};

static const struct option options[] = {
    {"agents", required_argument, NULL, O_AGENTS},
    {"dir", required_argument, NULL, O_DIR},
    {"prefix", required_argument, NULL, O_PREFIX},
    {"start-rate", required_argument, NULL, O_START_RATE},
    {"register-only", no_argument, NULL, O_REGISTER_ONLY},
    {"certificates", required_argument, NULL, O_CERTIFICATES},
    {"ask", required_argument, NULL, O_ASK},
    {"operator-key-file", required_argument, NULL, O_OPERATOR_KEY_FILE},
    {"listen", required_argument, NULL, O_LISTEN},
    {"for", required_argument, NULL, O_FOR},
    {"out", required_argument, NULL, O_OUT},
    {"events", required_argument, NULL, O_EVENTS},
    {"help", no_argument, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

static bool
number(const char *name, const char *text, int64_t max, int64_t *out)
{
	if (enc_parse_i64(text, 1, max, out) == RC_OK)
		return true;
	(void)fprintf(stderr,
	    "certctl-fleet: --%s is \"%s\"; it must be a whole number from 1 "
	    "to %lld\n",
	    name, text, (long long)max);
	return false;
}

static bool
duration(const char *text, int64_t *out)
{
	if (enc_parse_duration_ms(text, out) == RC_OK && *out >= FOR_MIN_MS &&
	    *out <= FOR_MAX_MS)
		return true;
	(void)fprintf(stderr,
	    "certctl-fleet: --for is \"%s\"; it must be a duration from 1s to "
	    "24h\n",
	    text);
	return false;
}

static bool
prefix(const char *text)
{
	size_t len = strlen(text);

	if (len > 0 && len <= PREFIX_MAX && text[0] != '-' &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len)
		return true;
	(void)fprintf(stderr,
	    "certctl-fleet: --prefix is \"%s\"; it must be of a-z, 0-9 and -, "
	    "64 at most, and not begin with -\n",
	    text);
	return false;
}

static bool
take(int id, const char *text, struct opts *o)
{
	int64_t n = 0;
	bool is_good = true;

	switch (id) {
	case O_AGENTS:
		is_good = number("agents", text, OPTS_AGENTS_MAX, &n);
		o->agents = (size_t)n;
		break;
	case O_DIR:
		o->dir = text;
		break;
	case O_PREFIX:
		is_good = prefix(text);
		o->prefix = text;
		break;
	case O_START_RATE:
		is_good = number("start-rate", text, OPTS_AGENTS_MAX, &n);
		o->start_rate = (size_t)n;
		break;
	case O_REGISTER_ONLY:
		o->register_only = true;
		break;
	case O_CERTIFICATES:
		o->certificates = text;
		break;
	case O_ASK:
		is_good = number("ask", text, OPTS_AGENTS_MAX, &n);
		o->ask_rate = (size_t)n;
		break;
	case O_OPERATOR_KEY_FILE:
		o->operator_key_file = text;
		break;
	case O_LISTEN:
		is_good = number("listen", text, 65535, &n);
		o->listen = (int)n;
		break;
	case O_FOR:
		is_good = duration(text, &o->for_ms);
		break;
	case O_OUT:
		o->out = text;
		break;
	case O_EVENTS:
		o->events = text;
		break;
	default:
		is_good = false;
	}
	return is_good;
}

/* What does not go together: the first such thing, or NULL. */
static const char *
find_mistake(const struct opts *o)
{
	if (o->agents == 0)
		return "--agents is missing: say how many";
	if (!o->dir || o->dir[0] != '/')
		return "--dir is missing or not absolute: name a directory "
		       "for the agents' states and keys";
	if (o->register_only && (o->certificates || o->ask_rate > 0))
		return "--register-only renews nothing: leave out "
		       "--certificates and --ask";
	if (o->certificates && o->listen == 0)
		return "--listen is missing: name the port of the TLS server "
		       "that the targets of --certificates lead to";
	if (o->listen != 0 && !o->certificates)
		return "--listen needs --certificates: nothing else is served";
	if (o->events && !o->certificates)
		return "--events needs --certificates: the events are theirs";
	if (o->ask_rate > 0 && !o->certificates)
		return "--ask needs --certificates: say whose renewal";
	if (o->ask_rate > 0 && !o->operator_key_file)
		return "--ask needs --operator-key-file: renewals are asked "
		       "for with an API key";
	if (o->operator_key_file && o->ask_rate == 0)
		return "--operator-key-file needs --ask: nothing else uses it";
	return NULL;
}

bool
opts_read(int argc, char **argv, struct opts *out, int *out_exit)
{
	struct opts o = {.prefix = "fleet",
	    .start_rate = 200,
	    .for_ms = 300000};
	const char *mistake;
	int id;

	optind = 1;
	*out_exit = 2;
	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == O_HELP) {
			(void)fputs(help, stdout);
			*out_exit = 0;
			return true;
		}
		if (!take(id, optarg, &o))
			return true; /* it was said, by getopt or by us */
	}
	mistake = optind < argc ? "it takes options only, see --help"
				: find_mistake(&o);
	if (mistake) {
		(void)fprintf(stderr, "certctl-fleet: %s\n", mistake);
		return true;
	}
	*out = o;
	return false;
}
