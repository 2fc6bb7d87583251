/*
 * cfg: configuration from the environment, one table a daemon.
 *
 * The table (cfg_keys.def of each daemon) gives name, type, default, range,
 * flags and help; from it come parsing, --check-config, --print-config
 * (secrets masked), --help and the generated reference page.  Anything out of
 * range refuses to start and names variable, value and range; nothing falls
 * back silently.  NAME_FILE may name a file that holds the value of a SECRET.
 *
 * In cfg_keys.def, alphabetical, one line a key:
 *   KEY(database_url, "CERTCTL_DATABASE_URL", CFG_STRING, "", 1, 4096,
 *       CFG_SECRET | CFG_REQUIRED, "libpq URL of the database")
 * min and max are the length for strings and lists, the value for numbers,
 * thousandths for decimals, and milliseconds for durations.  CFG_ENUM: the
 * default is "a|b|c", the first is the default.
 */
#ifndef COMMON_CFG_CFG_H
#define COMMON_CFG_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

enum cfg_type {
	CFG_STRING,
	CFG_NAME, /* a text that people read; not blank, not "-" first */
	CFG_ID,   /* A-Z a-z 0-9 . _ -, not "." or "-" first */
	CFG_INT,
	CFG_DECIMAL, /* "0.5", three decimals at most; stored in thousandths */
	CFG_BOOL,
	CFG_DURATION, /* "1h30m"; stored in milliseconds */
	CFG_SIZE,     /* "64MiB" or bytes */
	CFG_ENUM,
	CFG_LIST, /* comma separated, blanks trimmed, empty items dropped */
	CFG_PATH
};
enum cfg_flag {
	CFG_SECRET = 1, /* masked when printed; may come from NAME_FILE */
	CFG_REQUIRED = 2,
	/* A name that others know and that means nothing here: refused with
	 * its help as the reason. */
	CFG_REFUSED = 4
};

struct cfg_key {
	const char *name;
	const char *env;
	enum cfg_type type;
	const char *dflt;
	int64_t min, max;
	unsigned flags;
	const char *help;
};

struct cfg; /* defined in cfg.c */

/*
 * Reads the environment by the table.  RC_INVALID: every mistake was printed
 * to standard error, one line each, naming variable, value and range.
 */
rc cfg_load(const struct cfg_key *keys, size_t n, struct cfg **out) MUST_CHECK;
void cfg_free(struct cfg *c);
/* An unknown name or a wrong type is our bug and aborts. */
const char *cfg_str(const struct cfg *c, const char *name);
int64_t cfg_int(const struct cfg *c,
    const char *name); /* INT, SIZE, ms, thousandths of a DECIMAL */
bool cfg_bool(const struct cfg *c, const char *name);
/* CFG_LIST: the items, NULL-terminated, owned by c. */
const char *const *cfg_list(const struct cfg *c, const char *name);
/* Whether the environment set it. */
bool cfg_is_set(const struct cfg *c, const char *name);
void cfg_print(const struct cfg *c);

/* line: "CERTCTL_X means nothing to ...".  is_unknown: nor to any other. */
typedef void cfg_unread_fn(const char *line, bool is_unknown);
/*
 * Names every variable CERTCTL_... of the environment that no key reads, and
 * the program that it is for, or what was probably meant.  say may be NULL.
 * Returns how many of them no program of ours reads: those are mistakes, while
 * programs of one host may share an environment.
 */
size_t cfg_unread(const char *program, const struct cfg_key *keys, size_t n,
    cfg_unread_fn *say);

/*
 * The command line every daemon shares: --help, --version, --check-config,
 * --print-config.  Returns true when the process is to end now with
 * *out_exit; otherwise *out_cfg is loaded, and *out_is_check says that it is
 * to be checked and no more.  --check-config also tells standard error of
 * cfg_unread.  extra_help is appended to --help.
 */
bool cfg_main(int argc, char **argv, const char *program, const char *purpose,
    const struct cfg_key *keys, size_t n, const char *extra_help,
    struct cfg **out_cfg, bool *out_is_check, int *out_exit);

#define CFG_KEY_ROW(name, env, type, dflt, min, max, flags, help) \
	{#name, env, type, dflt, min, max, flags, help},

#endif
