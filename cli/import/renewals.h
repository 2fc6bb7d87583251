/*
 * renewals: what runs the tools on this host: timers of systemd, cron.
 */
#ifndef CLI_IMPORT_RENEWALS_H
#define CLI_IMPORT_RENEWALS_H

#include "cli/import/import.h"

/* Below etc and the crontabs beside it; each found certificate's renewal tells
 * of what runs its tool. */
void renewals_find(struct import *im, const char *etc);
/* The first line of a crontab or unit that runs the program, its number in
 * *out_line; NULL: none.  In the arena. */
const char *renewals_line(struct arena *a, const char *text, size_t len,
    const char *program, size_t *out_line);

#endif
