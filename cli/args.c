#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static void
take(int *argc, char **argv, int at, int n)
{
	for (int i = at; i + n <= *argc; i++)
		argv[i] = argv[i + n]; /* the closing NULL too */
	*argc -= n;
}

const char *
args_option(int *argc, char **argv, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < *argc; i++) {
		const char *value;

		if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') {
			value = argv[i] + n + 1;
			take(argc, argv, i, 1);
			return value;
		}
		if (strcmp(argv[i], name) == 0 && i + 1 < *argc) {
			value = argv[i + 1];
			take(argc, argv, i, 2);
			return value;
		}
	}
	return NULL;
}

bool
args_flag(int *argc, char **argv, const char *name)
{
	for (int i = 0; i < *argc; i++) {
		if (strcmp(argv[i], name) == 0) {
			take(argc, argv, i, 1);
			return true;
		}
	}
	return false;
}

int
args_expect(int argc, char **argv, int want, const char *what)
{
	if (argc > want) {
		fprintf(stderr,
		    "certctl: \"%s\" is not expected here; see "
		    "certctl help\n",
		    argv[want]);
		return EXIT_USAGE;
	}
	if (argc < want) {
		fprintf(stderr, "certctl: %s is missing; see certctl help\n",
		    what);
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}
