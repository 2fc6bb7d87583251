/*
 * settings: those of the processes here, by their own tables: what is refused,
 * what nobody reads, what two processes say differently, and time-outs that do
 * not fit one another.
 */
#ifndef CLI_DOCTOR_SETTINGS_H
#define CLI_DOCTOR_SETTINGS_H

#include <stdint.h>

#include "cli/doctor/host.h"

/* Reads the settings of each that has an environment, as its program would:
 * sets cfg where they are good.  Not for several threads: environ and standard
 * error are others meanwhile. */
void doctor_check_settings(struct doctor *d, struct host *h);
void doctor_check_agreement(struct doctor *d, const struct host *h);
void doctor_check_timeouts(struct doctor *d, const struct host *h);

#endif
