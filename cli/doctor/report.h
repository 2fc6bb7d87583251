/*
 * report: what certctl doctor found, in the order it was looked for.
 *
 * A finding is a check's code (checks.def has why it matters and how it is
 * mended), what it is about, and what was seen.  What could not be looked at
 * is a finding of its own, and never "ok".
 */
#ifndef CLI_DOCTOR_REPORT_H
#define CLI_DOCTOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"

enum doctor_level { DOCTOR_OK, DOCTOR_UNSEEN, DOCTOR_WARNING, DOCTOR_ERROR };
enum { DOCTOR_LEVELS = DOCTOR_ERROR + 1 };

enum doctor_check {
#define LOOK(code, why, fix) DOCTOR_##code,
#include "cli/doctor/checks.def"
#undef LOOK
	DOCTOR_CHECKS
};

struct doctor_finding {
	enum doctor_level level;
	enum doctor_check check;
	const char *subject; /* "" : the installation */
	const char *what;
	const char *fix; /* NULL: the check's own */
};

struct cli; /* cli.h */

struct doctor {
	struct arena *arena; /* of everything below */
	struct doctor_finding *findings;
	size_t n;
	size_t room;
};

void doctor_say(struct doctor *d, enum doctor_level level,
    enum doctor_check check, const char *subject, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
/* Another fix for the finding that was said last. */
void doctor_fix(struct doctor *d, const char *fix);
size_t doctor_count(const struct doctor *d, enum doctor_level level);

/* Errors first, what is well last. */
void doctor_print(const struct doctor *d);
void doctor_print_json(struct cli *c, const struct doctor *d);

#endif
