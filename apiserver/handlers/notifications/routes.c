/*
 * Routes of the notifications.
 */
#include "apiserver/handlers/notifications/notifications.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define NOTIFICATIONS "/api/v1/notifications"

static const struct route rows[] = {
    {"GET", NOTIFICATIONS, "notification.read", notification_list},
    {"GET", NOTIFICATIONS "/{id}", "notification.read", notification_get},
    {"POST", NOTIFICATIONS "/{id}/read", "notification.read", notification_read,
	"notification_read"},
    {"POST", NOTIFICATIONS "/{id}/requeue", "notification.edit",
	notification_requeue, "notification_requeued"},
};

const struct route_area routes_notifications =
    ROUTE_API_AREA("notifications", rows);
