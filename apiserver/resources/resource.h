/*
 * resource: create, list, get, update and delete of one plain noun.
 *
 * A noun is a descriptor: its fields, its filters and its statements, in the
 * parameters that common/sql/api_config.sql documents.  Everything a noun
 * needs beyond that sits in its fields' convert and check functions.
 */
#ifndef APISERVER_RESOURCES_RESOURCE_H
#define APISERVER_RESOURCES_RESOURCE_H

#include <stddef.h>

#include "apiserver/resources/field.h"
#include "apiserver/resources/warn.h"
#include "common/op/op.h"
#include "sql_gen.h"

/* What a list answers to a query that says nothing of pages. */
enum resource_whole {
	RESOURCE_PAGED,     /* its first page */
	RESOURCE_WHOLE,     /* all rows (page_take_whole) */
	RESOURCE_WHOLE_PAGE /* all, as one page of so many rows */
};

struct resource {
	const char *label; /* "Team": "Team not found" */
	const struct field *fields;
	size_t nfields;
	enum resource_whole whole;
	const char *filters[4]; /* query parameters of list, NULL-terminated */
	/* RESOURCE_STATEMENTS; a lock goes before its write, in the same
	 * transaction: what the write looks at stays so until its commit. */
	enum query list, total, get, create, update, remove;
	enum query lock_update, lock_remove;
	const char *duplicate; /* 409 of a name that is taken */
	const char *in_use;    /* 409 of a delete */
	/* Who has a file of a target (taken.h); asked for no other noun. */
	enum query taken;
	/* 400 of a write that found its noun but changed no row. */
	const char *refused;
	/* An update replaces the whole noun; else it changes what it names. */
	bool replaces;
	/* NULL, or why this body is refused, whose fields are each good by
	 * themselves; type: of the noun that it changes, NULL for a create.
	 * May be NULL. */
	const char *(*check)(struct arena *a, const struct cJSON *body,
	    const char *type);
	/* The same of a body beside what is stored, which is row 0 of an
	 * update; may be NULL. */
	const char *(*check_stored)(struct op *op, const struct cJSON *body,
	    bool is_create);
	/* Makes of *given, the checked document, what is stored of it; NULL, or
	 * why it can't be.  type: as of check.  May be NULL. */
	const char *(
	    *seal)(struct op *op, const char *type, const char **given);
	/* An update that met no row although its noun is there waits for an
	 * approval: ask (id, the checked body, actor, actor type) requests it,
	 * behind lock_update; its row has the request's id, or in unknown the
	 * member of the body that names what is not there. */
	bool asks_approval;
	enum query ask;
	/* After the commit of a create or an update; may be NULL. */
	void (*changed)(struct op *op, const char *id);
	/* What a client should know of row 0, the noun as it is answered when
	 * it is made, changed or asked for by itself; may be NULL. */
	void (*warn)(struct op *op, struct warnings *ws);
};

#define RESOURCE_STATEMENTS(NOUN) \
	.list = Q_##NOUN##_LIST, .total = Q_##NOUN##_TOTAL, \
	.get = Q_##NOUN##_GET, .create = Q_##NOUN##_CREATE, \
	.update = Q_##NOUN##_UPDATE, .remove = Q_##NOUN##_DELETE, \
	.lock_update = Q_##NOUN##_LOCK_UPDATE, \
	.lock_remove = Q_##NOUN##_LOCK_DELETE

enum op_next resource_list(struct op *op, const struct resource *res);
enum op_next resource_get(struct op *op, const struct resource *res);
enum op_next resource_create(struct op *op, const struct resource *res);
enum op_next resource_update(struct op *op, const struct resource *res);
enum op_next resource_delete(struct op *op, const struct resource *res);

/* The five start steps of a noun, for its row in the route table. */
#define RESOURCE_STEPS(noun, descriptor) \
	static enum op_next noun##_list(struct op *op) \
	{ \
		return resource_list(op, &(descriptor)); \
	} \
	static enum op_next noun##_get(struct op *op) \
	{ \
		return resource_get(op, &(descriptor)); \
	} \
	static enum op_next noun##_create(struct op *op) \
	{ \
		return resource_create(op, &(descriptor)); \
	} \
	static enum op_next noun##_update(struct op *op) \
	{ \
		return resource_update(op, &(descriptor)); \
	} \
	static enum op_next noun##_delete(struct op *op) \
	{ \
		return resource_delete(op, &(descriptor)); \
	}

#endif
