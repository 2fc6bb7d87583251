/*
 * notifications: messages to people, as rows.
 */
#ifndef APISERVER_HANDLERS_NOTIFICATIONS_NOTIFICATIONS_H
#define APISERVER_HANDLERS_NOTIFICATIONS_NOTIFICATIONS_H

#include "common/op/op.h"

/* The steps of routes.c. */
op_step notification_list;
op_step notification_get;
op_step notification_read;
op_step notification_requeue;

#endif
