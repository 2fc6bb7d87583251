/*
 * rig: an agent on a fake clock with a server that is a list of answers.
 *
 * The real modules run over a fake http_out; a request is answered by the
 * newest rule that fits it, and by 404 without one.  Its directories lie in a
 * sandbox.
 */
#ifndef TESTS_UNIT_AGENT_RIG_H
#define TESTS_UNIT_AGENT_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"

struct rig_request {
	char method[8];
	char path[256];
	char bearer[128]; /* "" without one */
	char *body;       /* "" without one */
	int64_t at_ms;
};

/* A fresh agent; the one before is freed.  settings: NAME=value texts, ending
 * in NULL, over no other environment. */
struct agent *rig_new(const char *const *settings);
/* Frees it; NULL it was already is a no-op. */
void rig_end(void);
/* From now on requests of that method whose path begins so are answered with
 * that, after delay_ms; status 0: no answer comes back. */
void rig_answer(const char *method, const char *path, int status,
    const char *body, int64_t delay_ms);
void rig_pass(int64_t ms);
/* How many requests of that method and path began so far. */
size_t rig_count(const char *method, const char *path);
/* The newest of them; NULL when there is none. */
const struct rig_request *rig_last(const char *method, const char *path);

#endif
