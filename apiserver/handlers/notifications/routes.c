/*
 * Routes of the notifications.
 */
#include "apiserver/handlers/notifications/notifications.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define NOTIFICATIONS "/api/v1/notifications"

static const struct route rows[] = {
    {"GET", NOTIFICATIONS, ROUTE_PERMISSION, "notification.read",
	notification_list, 0},
    {"GET", NOTIFICATIONS "/{id}", ROUTE_PERMISSION, "notification.read",
	notification_get, 0},
    {"POST", NOTIFICATIONS "/{id}/read", ROUTE_PERMISSION, "notification.read",
	notification_read, 0},
    {"POST", NOTIFICATIONS "/{id}/requeue", ROUTE_PERMISSION,
	"notification.edit", notification_requeue, 0},
};

const struct route_area routes_notifications = {"notifications", rows,
    ARRAY_LEN(rows)};
