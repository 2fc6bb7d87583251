/*
 * settings: the channels as operators configured them, checked at start.
 */
#ifndef WORKER_NOTIFIERS_SETTINGS_H
#define WORKER_NOTIFIERS_SETTINGS_H

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/cfg/cfg.h"
#include "common/loop/loop.h"
#include "worker/notifiers/notifier.h"

struct notifier_outs; /* defined in settings.c */

/* The clients by which messages leave, and the settings, whose texts are the
 * configuration's: cfg outlives them.  RC_INVALID: every mistake was logged. */
rc notifier_outs_new(struct loop *l, const struct cfg *cfg,
    struct notifier_outs **out) MUST_CHECK;
void notifier_outs_free(struct notifier_outs *o);
const struct notifier_env *notifier_outs_env(const struct notifier_outs *o);

#endif
