/*
 * fault: named points at which a test may kill the process.
 *
 * With CERTCTL_FAULT_FILE set, a process that passes fault_point("x") while
 * "x" is the first line of that file takes the line away and sends itself
 * SIGKILL: so it dies there once, and its successor goes on, until it passes
 * the point of the next line.  Without the variable a point costs one
 * comparison.
 */
#ifndef COMMON_BASE_FAULT_H
#define COMMON_BASE_FAULT_H

#define FAULT_VARIABLE "CERTCTL_FAULT_FILE"

void fault_point(const char *name);

#endif
