/*
 * seams: where the fleet stands between the agent's library and what that
 * calls, joined by the linker (--wrap), so that the agent's code is the
 * product's to the last line.
 *
 *   agent_op_start, agent_arg   each op of an agent: its directories are open
 *                               meanwhile, and its work is timed
 *   call_api                    what a question for work brought waits until
 *                               the agent's directories can be open
 *   deploy_verify               a handshake has proven the new certificate
 *   call_program                /usr/bin/true test|reload CERT KEY loads the
 *                               pair into the fleet's own TLS server: ten
 *                               thousand web servers do not fit one host, and
 *                               to start two programs a deployment would
 *                               measure fork
 *   http_out_start, http_call_cancel   each request is timed and counted
 *   log_write, log_peer         lines are counted by code, the first few told
 *
 * One fleet a process.
 */
#ifndef FLEET_SEAMS_H
#define FLEET_SEAMS_H

#include "deploy/test/loadtest/fleet/serve.h"
#include "deploy/test/loadtest/fleet/watch.h"

/* Borrowed until the next call; NULL, NULL: nothing is watched any more. */
void seams_set(struct watch *w, struct serve *s);

#endif
