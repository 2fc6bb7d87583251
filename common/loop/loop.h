/*
 * loop: the event loop of a process, a thin face of libevent.
 *
 * One per process, one thread.  Timers and deferred calls go through here so
 * that a simulation can run the real code on a fake clock (loop_new_sim).
 * File descriptors, TLS and HTTP use the event_base directly (loop_base).
 */
#ifndef COMMON_LOOP_LOOP_H
#define COMMON_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

struct event_base;
struct loop;  /* defined in loop.c */
struct timer; /* defined in loop.c */

typedef void loop_fn(void *arg);

/* Ignores SIGPIPE.  The caller owns *out. */
rc loop_new(struct loop **out) MUST_CHECK;
/* A loop on a fake clock: nothing fires but by loop_sim_advance. */
struct loop *loop_new_sim(int64_t start_ms);
void loop_free(struct loop *l);
/* NULL in a simulation. */
struct event_base *loop_base(struct loop *l);
/* Runs until loop_stop. */
rc loop_run(struct loop *l) MUST_CHECK;
void loop_stop(struct loop *l);
/* The boot clock as of now (fake in a simulation), milliseconds. */
int64_t loop_now_ms(const struct loop *l);

/* A timer that is not armed.  Freeing an armed one disarms it; it may be
 * freed from its own callback. */
struct timer *timer_new(struct loop *l, loop_fn *fn, void *arg);
void timer_free(struct timer *t);
/* Fires once, after_ms from now; arming again moves it. */
void timer_arm(struct timer *t, int64_t after_ms);
void timer_disarm(struct timer *t);
bool timer_is_armed(const struct timer *t);

/* fn(arg) runs on the next turn, in order: results that are ready at once
 * and objects that must not be freed inside their own callback. */
void loop_defer(struct loop *l, loop_fn *fn, void *arg);
/* Runs what was deferred, and what that defers, without waiting for anything
 * else: at the end of a process ops that were aborted are freed by it, before
 * what they use is. */
void loop_settle(struct loop *l);

/* fn(arg) runs on the loop when the signal arrives.  Once per signal. */
rc loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg) MUST_CHECK;

/* Simulation only: moves the clock and fires what falls due, in order. */
void loop_sim_advance(struct loop *l, int64_t ms);

#endif
