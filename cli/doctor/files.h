/*
 * files: the keys, directories, certificates and disks that the settings of
 * the processes here name.
 */
#ifndef CLI_DOCTOR_FILES_H
#define CLI_DOCTOR_FILES_H

#include <stdint.h>
#include <sys/types.h>

#include "cli/doctor/host.h"

void doctor_check_files(struct doctor *d, const struct host *h, int64_t now);

/* The judgements, for tests.  mode: of stat; what: the setting's name. */
void files_judge_key(struct doctor *d, const char *name, const char *what,
    const char *path, mode_t mode);
void files_judge_directory(struct doctor *d, const char *name, const char *what,
    const char *path, mode_t mode, bool is_private);
void files_judge_disk(struct doctor *d, const char *path, uint64_t bytes_free,
    uint64_t bytes, uint64_t inodes_free, uint64_t inodes);

#endif
