/*
 * page: the list envelope of the contract, and who a change is booked to.
 */
#ifndef APISERVER_RESOURCES_PAGE_H
#define APISERVER_RESOURCES_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

/* Numbers as parameters, in the op's arena. */
const char *page_num(struct op *op, int64_t n);

/* Who made this request, for audit events. */
const char *page_actor(const struct op *op);

/*
 * {"data":[...],"total":n,"page":p,"per_page":k} from a batch of two: the rows
 * and their total (columns total, is_capped).  A total that is an estimate or
 * the cap of the count adds "total_is_estimate":true.
 */
enum op_next page_reply(struct op *op, const struct field *fields, size_t n,
    const char *only, int64_t page, int64_t per_page);
/* "total":n and, where it is one, "total_is_estimate":true. */
void page_put_total(struct op *op, struct json_w *w,
    const struct db_result *total);
/* Row 0 of the last result as the whole reply. */
enum op_next page_reply_one(struct op *op, int status,
    const struct field *fields, size_t n);

#endif
