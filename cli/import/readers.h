/*
 * readers: which tool's a directory or file is.
 */
#ifndef CLI_IMPORT_READERS_H
#define CLI_IMPORT_READERS_H

#include "cli/import/import.h"
#include "common/base/attr.h"

/* Adds what is found there.  false: there is no such directory or file. */
bool readers_read(struct import *im, const char *path) MUST_CHECK;

#endif
