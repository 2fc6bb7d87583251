/*
 * api: checks of what the server answered.  Pure functions over JSON and
 * moments; whoever asked says when.
 */
#ifndef CLI_DOCTOR_API_H
#define CLI_DOCTOR_API_H

#include <stdint.h>

#include "cli/doctor/report.h"

struct cJSON;

/* GET /api/v1/admin/processes: releases, beside ours and the server's; who
 * lives, who leads; the database's release. */
void doctor_check_versions(struct doctor *d, const char *own,
    const char *server, const struct cJSON *processes);
void doctor_check_processes(struct doctor *d, const struct cJSON *processes);
void doctor_check_database_version(struct doctor *d,
    const struct cJSON *processes);
/* GET /api/v1/admin/conditions: each is a finding. */
void doctor_check_conditions(struct doctor *d, const struct cJSON *conditions);
/* GET /api/v1/agents?status=Offline, and of Online the newest: those that
 * never reported are among them. */
void doctor_check_agents(struct doctor *d, const struct cJSON *offline,
    const struct cJSON *online);
/* /ready, which answered with that status. */
void doctor_check_ready(struct doctor *d, int status,
    const struct cJSON *ready);
/* A clock that said theirs between two moments of ours, all Unix seconds; the
 * difference beyond those counts. */
void doctor_check_clock(struct doctor *d, enum doctor_check check,
    const char *subject, int64_t theirs, int64_t before, int64_t after);
/* A certificate's life, Unix seconds. */
void doctor_check_end(struct doctor *d, enum doctor_check check,
    const char *subject, int64_t begins, int64_t ends, int64_t now);

#endif
