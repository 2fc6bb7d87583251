#include "cli/term.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/attr.h"
#include "common/base/enc.h"

enum {
	COLUMNS_USUAL = 80,
	COLUMNS_MIN = 20, /* less is a mistake, and nothing would be left */
	COLUMNS_MOST = 10000,
};

static enum term_color wanted;

void
term_set_color(enum term_color color)
{
	wanted = color;
}

static bool
is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && value[0] != '\0';
}

/* A stream in memory has no descriptor. */
static bool
is_terminal(FILE *f)
{
	int fd = fileno(f);

	return fd >= 0 && isatty(fd);
}

bool
term_has_color(FILE *to)
{
	const char *kind = getenv("TERM");

	if (wanted != TERM_COLOR_AUTO)
		return wanted == TERM_COLOR_ALWAYS;
	return !is_set("NO_COLOR") && kind && strcmp(kind, "dumb") != 0 &&
	       is_terminal(to);
}

const char *
term_sequence(FILE *to, enum term_paint paint)
{
	/* The sixteen colours that every terminal's theme has made readable. */
	static const char *const all[] = {
	    [TERM_PLAIN] = "\x1b[0m",
	    [TERM_HEAD] = "\x1b[1m",
	    [TERM_GOOD] = "\x1b[32m",
	    [TERM_BUSY] = "\x1b[33m",
	    [TERM_BAD] = "\x1b[31m",
	};

	return term_has_color(to) ? all[paint] : "";
}

enum term_paint
term_paint_of(const char *status)
{
	static const struct {
		const char *status;
		enum term_paint paint;
	} all[] = {
	    {"Active", TERM_GOOD},
	    {"Approved", TERM_GOOD},
	    {"AwaitingApproval", TERM_BUSY},
	    {"AwaitingCSR", TERM_BUSY},
	    {"Completed", TERM_GOOD},
	    {"Degraded", TERM_BUSY},
	    {"Deployed", TERM_GOOD},
	    {"Expired", TERM_BAD},
	    {"Expiring", TERM_BUSY},
	    {"Failed", TERM_BAD},
	    {"Offline", TERM_BAD},
	    {"Online", TERM_GOOD},
	    {"Pending", TERM_BUSY},
	    {"RenewalInProgress", TERM_BUSY},
	    {"Revoked", TERM_BAD},
	    {"Running", TERM_BUSY},
	    {"alive", TERM_GOOD},
	    {"cert_mismatch", TERM_BAD},
	    {"completed", TERM_GOOD},
	    {"degraded", TERM_BUSY},
	    {"down", TERM_BAD},
	    {"expired", TERM_BAD},
	    {"failed", TERM_BAD},
	    {"gone", TERM_BAD},
	    {"healthy", TERM_GOOD},
	    {"invalid", TERM_BAD},
	    {"pending", TERM_BUSY},
	    {"revoked", TERM_BAD},
	    {"running", TERM_BUSY},
	    {"valid", TERM_GOOD},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcmp(status, all[i].status) == 0)
			return all[i].paint;
	}
	return TERM_PLAIN;
}

static size_t
width(void)
{
	const char *said = getenv("COLUMNS");
	struct winsize size = {0};
	int64_t n = 0;

	if (said && enc_parse_i64(said, COLUMNS_MIN, COLUMNS_MOST, &n) == RC_OK)
		return (size_t)n;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
	    size.ws_col >= COLUMNS_MIN)
		return size.ws_col;
	return COLUMNS_USUAL;
}

size_t
term_width(size_t least)
{
	size_t n = width();

	return n < least ? least : n;
}

size_t
term_columns(void)
{
	return is_terminal(stdout) ? width() : 0;
}

bool
term_can_ask(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}
