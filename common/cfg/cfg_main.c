#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/cfg/cfg.h"
#include "common/cfg/cfg_value.h"

enum { EXIT_GOOD = 0, EXIT_CONFIG = 1, EXIT_USAGE = 2 };

static void
print_key(const struct cfg_key *key)
{
	struct buf dflt, rule;
	const char *text;

	if ((key->flags & CFG_REFUSED) != 0) {
		(void)printf("  %s\n      refused: %s\n", key->env, key->help);
		return;
	}
	buf_init(&dflt, 0);
	buf_init(&rule, 0);
	text = cfg_value_default(key, &dflt);
	cfg_value_rule(key, &rule);
	(void)printf("  %s%s\n      %s\n      %s", key->env,
	    (key->flags & CFG_SECRET) != 0 ? " (secret; or _FILE)" : "",
	    key->help, buf_cstr(&rule));
	if ((key->flags & CFG_REQUIRED) != 0)
		(void)printf("; required\n");
	else if (*text != '\0')
		(void)printf("; default %s\n", text);
	else
		(void)printf("; optional\n");
	buf_fini(&dflt);
	buf_fini(&rule);
}

static void
print_help(const char *program, const char *purpose, const struct cfg_key *keys,
    size_t n, const char *extra_help)
{
	(void)printf("%s: %s\n\n"
		     "usage: %s [option]\n"
		     "  --check-config  check the configuration and end\n"
		     "  --print-config  print it, secrets masked, and end\n"
		     "  --version       print the version and end\n"
		     "  --help          print this text and end\n",
	    program, purpose, program);
	if (extra_help != NULL)
		(void)printf("%s%s", extra_help,
		    strlen(extra_help) > 0 &&
			    extra_help[strlen(extra_help) - 1] == '\n'
			? ""
			: "\n");
	(void)printf("\nConfiguration comes from the environment:\n");
	for (size_t i = 0; i < n; i++)
		print_key(&keys[i]);
}

/*
 * A daemon's own option is known when its help names it at the start of a
 * line; so every option that works is documented, and a typo is refused.
 */
static bool
is_in_help(const char *extra_help, const char *arg)
{
	size_t len = strcspn(arg, "=");
	const char *p = extra_help;

	while (p != NULL && *p != '\0') {
		p += strspn(p, " \t\n");
		if (len > 0 && strncmp(p, arg, len) == 0 &&
		    strchr(" \t\n=", p[len]) != NULL)
			return true;
		p = strchr(p, '\n');
	}
	return false;
}

static void
print_unread(const char *line, bool is_unknown)
{
	(void)fprintf(stderr, "configuration: %s\n", line);
}

bool
cfg_main(int argc, char **argv, const char *program, const char *purpose,
    const struct cfg_key *keys, size_t n, const char *extra_help,
    struct cfg **out_cfg, bool *out_is_check, int *out_exit)
{
	bool check = false, print = false;
	struct cfg *c;
	rc ret;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(program, purpose, keys, n, extra_help);
			*out_exit = EXIT_GOOD;
			return true;
		}
		if (strcmp(argv[i], "--version") == 0) {
			(void)printf("%s %s\n", program, CERTCTL_VERSION);
			*out_exit = EXIT_GOOD;
			return true;
		}
		if (strcmp(argv[i], "--check-config") == 0) {
			check = true;
		} else if (strcmp(argv[i], "--print-config") == 0) {
			print = true;
		} else if (!is_in_help(extra_help, argv[i])) {
			(void)fprintf(stderr,
			    "%s: unknown option \"%s\"; see %s --help\n",
			    program, argv[i], program);
			*out_exit = EXIT_USAGE;
			return true;
		}
	}
	if (check)
		(void)cfg_unread(program, keys, n, print_unread);
	ret = cfg_load(keys, n, &c);
	if (ret != RC_OK) {
		*out_exit = EXIT_CONFIG;
		return true;
	}
	if (print) {
		cfg_print(c);
		cfg_free(c);
		*out_exit = EXIT_GOOD;
		return true;
	}
	*out_cfg = c;
	*out_is_check = check;
	return false;
}
