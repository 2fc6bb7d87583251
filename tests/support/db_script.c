#include "tests/support/db_script.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { STMTS_MAX = 32, FIELDS_MAX = 64, ROWS_MAX = 1024 };

/* Cells are pieces of text; NULL is SQL NULL. */
struct db_result {
	char *text; /* owns what cols and cells point to */
	char *cols[FIELDS_MAX];
	size_t ncols;
	char **cells; /* nrows * ncols */
	size_t nrows;
	size_t naffected;
};

struct script_stmt {
	enum query q;
	char *params; /* patterns, NULL: any */
	struct db_result *result;
};

/* What is expected, and later what is answered. */
struct script_item {
	TAILQ_ENTRY(script_item) entry;
	struct script_stmt stmts[STMTS_MAX];
	size_t nstmts;
	int64_t after_ms;
	rc code;
	struct db_error error;
};
TAILQ_HEAD(script_items, script_item);

struct script_rule {
	db_script_fn *fn;
	void *arg;
};

struct db_req {
	TAILQ_ENTRY(db_req) entry;
	struct db_pool *pool;
	struct timer *timer;
	db_done_fn *done;
	void *arg;
	struct script_item *item;
};
TAILQ_HEAD(script_reqs, db_req);

struct db_pool {
	struct loop *loop;
	struct script_items expected;
	struct script_items used; /* results stay until the pool is freed */
	struct script_item *answering; /* what the reply functions fill */
	struct script_reqs reqs;
	struct script_rule rules[Q_COUNT];
	size_t unexpected;
	size_t forgotten;
	size_t in_flight;
	uint64_t requests;
};

/* --- the script --- */

struct db_pool *
db_script_new(struct loop *l)
{
	struct db_pool *p = mem_zalloc(sizeof(*p));

	p->loop = l;
	TAILQ_INIT(&p->expected);
	TAILQ_INIT(&p->used);
	TAILQ_INIT(&p->reqs);
	return p;
}

static struct db_result *
result_new(const char *text)
{
	struct db_result *r = mem_zalloc(sizeof(*r));

	r->text = mem_strdup(text);
	return r;
}

static void
result_free(struct db_result *r)
{
	if (!r)
		return;
	free(r->text);
	free(r->cells);
	free(r);
}

static void
add_stmt(struct script_item *it, enum query q, const char *params)
{
	struct script_stmt *s = &it->stmts[it->nstmts];

	if (it->nstmts == STMTS_MAX)
		log_fatal("DB-SCRIPT", "too many statements in a request");
	s->q = q;
	s->params = params ? mem_strdup(params) : NULL;
	s->result = result_new("");
	it->nstmts++;
}

void
db_script_expect(struct db_pool *p, enum query q, const char *params)
{
	struct script_item *it = mem_zalloc(sizeof(*it));

	add_stmt(it, q, params);
	TAILQ_INSERT_TAIL(&p->expected, it, entry);
	p->answering = it;
}

static struct script_item *
answering(struct db_pool *p)
{
	if (!p->answering)
		log_fatal("DB-SCRIPT", "an answer without an expectation");
	return p->answering;
}

void
db_script_also(struct db_pool *p, enum query q, const char *params)
{
	add_stmt(answering(p), q, params);
}

/* Cuts text at each sep, in place; returns how many pieces. */
static size_t
cut(char *text, char sep, char **out, size_t max)
{
	size_t n = 0;

	for (;;) {
		if (n == max)
			log_fatal("DB-SCRIPT", "too many fields");
		out[n++] = text;
		text = strchr(text, sep);
		if (!text)
			return n;
		*text++ = '\0';
	}
}

void
db_script_rows(struct db_pool *p, const char *cols, const char *rows)
{
	struct script_item *it = answering(p);
	struct script_stmt *s = &it->stmts[it->nstmts - 1];
	char *lines[ROWS_MAX], *fields[FIELDS_MAX];
	size_t ncols_len = strlen(cols) + 1;
	struct db_result *r;

	result_free(s->result);
	s->result = r = mem_zalloc(sizeof(*r));
	r->text = mem_zalloc(ncols_len + strlen(rows) + 1);
	memcpy(r->text, cols, ncols_len);
	memcpy(r->text + ncols_len, rows, strlen(rows) + 1);
	r->ncols = cut(r->text, '|', r->cols, FIELDS_MAX);
	if (rows[0] == '\0')
		return;
	r->nrows = cut(r->text + ncols_len, '\n', lines, ROWS_MAX);
	r->cells = mem_zalloc(r->nrows * r->ncols * sizeof(*r->cells));
	for (size_t i = 0; i < r->nrows; i++) {
		if (cut(lines[i], '|', fields, FIELDS_MAX) != r->ncols)
			log_fatal("DB-SCRIPT", "%s: row %zu has not %zu cells",
			    sql_statements[s->q].name, i, r->ncols);
		for (size_t j = 0; j < r->ncols; j++) {
			if (strcmp(fields[j], "\\N") == 0)
				continue;
			for (char *c = fields[j]; *c; c++)
				if (*c == '\v')
					*c = '\n';
			r->cells[i * r->ncols + j] = fields[j];
		}
	}
	r->naffected = r->nrows;
}

void
db_script_affected(struct db_pool *p, size_t n)
{
	struct script_item *it = answering(p);

	it->stmts[it->nstmts - 1].result->naffected = n;
}

void
db_script_error(struct db_pool *p, const char *sqlstate, const char *message,
    const char *constraint)
{
	struct script_item *it = answering(p);
	struct db_error *e = &it->error;

	it->code = db_rc_of_sqlstate(sqlstate);
	e->statement = it->nstmts - 1;
	(void)snprintf(e->sqlstate, sizeof(e->sqlstate), "%.5s", sqlstate);
	(void)snprintf(e->message, sizeof(e->message), "%.255s", message);
	(void)snprintf(e->constraint, sizeof(e->constraint), "%.63s",
	    constraint ? constraint : "");
}

void
db_script_code(struct db_pool *p, rc code)
{
	answering(p)->code = code;
}

void
db_script_after(struct db_pool *p, int64_t ms)
{
	answering(p)->after_ms = ms;
}

void
db_script_on(struct db_pool *p, enum query q, db_script_fn *fn, void *arg)
{
	p->rules[q] = (struct script_rule){fn, arg};
}

bool
db_script_is_done(const struct db_pool *p)
{
	const struct script_item *it;

	TAILQ_FOREACH (it, &p->expected, entry)
		printf("  script: %s was never asked\n",
		    sql_statements[it->stmts[0].q].name);
	return TAILQ_EMPTY(&p->expected) && p->unexpected == 0;
}

size_t
db_script_forgotten(const struct db_pool *p)
{
	return p->forgotten;
}

size_t
db_script_in_flight(const struct db_pool *p)
{
	return p->in_flight;
}

/* --- matching --- */

static bool
params_match(const struct script_stmt *want, const struct db_stmt *got)
{
	char *fields[FIELDS_MAX], *text;
	size_t n = 0;
	bool ok;

	if (!want->params)
		return true;
	text = mem_strdup(want->params);
	if (text[0] != '\0')
		n = cut(text, '|', fields, FIELDS_MAX);
	ok = n == got->nparams;
	for (size_t i = 0; ok && i < n; i++) {
		if (!got->params[i])
			ok = strcmp(fields[i], "\\N") == 0;
		else
			ok = fnmatch(fields[i], got->params[i], 0) == 0;
	}
	free(text);
	return ok;
}

static bool
item_matches(const struct script_item *it, const struct db_stmt *stmts,
    size_t n)
{
	if (it->nstmts != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (it->stmts[i].q != stmts[i].q ||
		    !params_match(&it->stmts[i], &stmts[i]))
			return false;
	}
	return true;
}

static void
print_unexpected(const struct db_pool *p, const struct db_stmt *stmts, size_t n)
{
	const struct script_item *want = TAILQ_FIRST(&p->expected);

	printf("  script: not expected:");
	for (size_t i = 0; i < n; i++) {
		printf(" %s(", sql_statements[stmts[i].q].name);
		for (size_t j = 0; j < stmts[i].nparams; j++)
			printf("%s%s", j > 0 ? "|" : "",
			    stmts[i].params[j] ? stmts[i].params[j] : "\\N");
		printf(")");
	}
	if (want)
		printf("; but %s(%s)", sql_statements[want->stmts[0].q].name,
		    want->stmts[0].params ? want->stmts[0].params : "...");
	printf("\n");
}

/* Every statement of the request has a rule: they make up the answer. */
static struct script_item *
answer_by_rules(struct db_pool *p, const struct db_stmt *stmts, size_t n)
{
	struct script_item *it;

	for (size_t i = 0; i < n; i++) {
		if (!p->rules[stmts[i].q].fn)
			return NULL;
	}
	it = mem_zalloc(sizeof(*it));
	for (size_t i = 0; i < n && it->code == RC_OK; i++) {
		const struct script_rule *rule = &p->rules[stmts[i].q];

		add_stmt(it, stmts[i].q, NULL);
		p->answering = it;
		rule->fn(rule->arg, p, &stmts[i]);
	}
	p->answering = NULL;
	return it;
}

static struct script_item *
answer(struct db_pool *p, const struct db_stmt *stmts, size_t n)
{
	struct script_item *it = TAILQ_FIRST(&p->expected);

	if (it && item_matches(it, stmts, n)) {
		TAILQ_REMOVE(&p->expected, it, entry);
		return it;
	}
	it = answer_by_rules(p, stmts, n);
	if (it)
		return it;
	print_unexpected(p, stmts, n);
	p->unexpected++;
	it = mem_zalloc(sizeof(*it));
	it->code = RC_INTERNAL;
	(void)snprintf(it->error.message, sizeof(it->error.message),
	    "the script does not expect this");
	return it;
}

/* --- common/db/db.h --- */

rc
db_pool_new(struct loop *l, const struct db_opts *opts, struct db_pool **out)
{
	(void)opts;
	*out = db_script_new(l);
	return RC_OK;
}

static void
deliver(struct db_req *r, rc code)
{
	struct script_item *it = r->item;
	struct db_result *results[STMTS_MAX];
	struct db_outcome o = {.code = code, .error = it->error};
	struct db_pool *p = r->pool;

	TAILQ_REMOVE(&p->reqs, r, entry);
	p->in_flight--;
	if (code == RC_OK) {
		for (size_t i = 0; i < it->nstmts; i++)
			results[i] = it->stmts[i].result;
		o.results = results;
		o.nresults = it->nstmts;
	}
	if (r->done)
		r->done(r->arg, &o);
	timer_free(r->timer);
	free(r);
}

static void
on_answer(void *arg)
{
	struct db_req *r = arg;

	deliver(r, r->item->code);
}

struct db_req *
db_submit(struct db_pool *p, const struct db_stmt *stmts, size_t nstmts,
    db_done_fn *done, void *arg)
{
	struct db_req *r = mem_zalloc(sizeof(*r));

	for (size_t i = 0; i < nstmts; i++) {
		if (stmts[i].nparams != sql_statements[stmts[i].q].nparams)
			log_fatal("DB-SCRIPT", "%s takes %zu parameters",
			    sql_statements[stmts[i].q].name,
			    sql_statements[stmts[i].q].nparams);
	}
	r->pool = p;
	r->done = done;
	r->arg = arg;
	r->item = answer(p, stmts, nstmts);
	TAILQ_INSERT_TAIL(&p->used, r->item, entry);
	TAILQ_INSERT_TAIL(&p->reqs, r, entry);
	p->in_flight++;
	p->requests++;
	r->timer = timer_new(p->loop, on_answer, r);
	if (r->item->after_ms >= 0)
		timer_arm(r->timer, r->item->after_ms);
	return r;
}

void
db_forget(struct db_req *r)
{
	if (!r || !r->done)
		return;
	r->done = NULL;
	r->pool->forgotten++;
}

static void
items_free(struct script_items *items)
{
	struct script_item *it;

	while ((it = TAILQ_FIRST(items))) {
		TAILQ_REMOVE(items, it, entry);
		for (size_t i = 0; i < it->nstmts; i++) {
			free(it->stmts[i].params);
			result_free(it->stmts[i].result);
		}
		free(it);
	}
}

void
db_pool_free(struct db_pool *p)
{
	struct db_req *r;

	if (!p)
		return;
	while ((r = TAILQ_FIRST(&p->reqs)))
		deliver(r, RC_CANCELLED);
	items_free(&p->expected);
	items_free(&p->used);
	free(p);
}

/* Results are the script's until the pool is freed: nothing to move but the
 * array, which deliver() has on its stack. */
void
db_results_keep(struct db_outcome *o, struct arena *a)
{
	struct db_result **kept;

	if (o->nresults == 0)
		return;
	kept = arena_alloc(a, o->nresults * sizeof(struct db_result *));
	for (size_t i = 0; i < o->nresults; i++)
		kept[i] = o->results[i];
	o->results = kept;
}

void
db_pool_stats(const struct db_pool *p, struct db_stats *out)
{
	*out = (struct db_stats){
	    .open = 1,
	    .busy = p->in_flight,
	    .requests = p->requests,
	};
}

uint64_t
db_pool_writes(const struct db_pool *p, size_t *out_running)
{
	(void)p;
	(void)out_running;
	return 0;
}

const char *
db_pool_trouble(const struct db_pool *p)
{
	(void)p;
	return NULL;
}

const char *
db_pool_warning(const struct db_pool *p)
{
	(void)p;
	return NULL;
}

size_t
db_nrows(const struct db_result *r)
{
	return r->nrows;
}

size_t
db_naffected(const struct db_result *r)
{
	return r->naffected;
}

int
db_col(const struct db_result *r, const char *name)
{
	for (size_t i = 0; i < r->ncols; i++) {
		if (strcmp(r->cols[i], name) == 0)
			return (int)i;
	}
	log_fatal("DB-COLUMN", "no column %s in the result", name);
}

static const char *
cell(const struct db_result *r, size_t row, int col)
{
	if (row >= r->nrows || col < 0 || (size_t)col >= r->ncols)
		log_fatal("DB-CELL", "no row %zu column %d in the result", row,
		    col);
	return r->cells[row * r->ncols + (size_t)col];
}

bool
db_is_null(const struct db_result *r, size_t row, int col)
{
	return cell(r, row, col) == NULL;
}

const char *
db_text(const struct db_result *r, size_t row, int col)
{
	const char *text = cell(r, row, col);

	return text ? text : "";
}

int64_t
db_i64(const struct db_result *r, size_t row, int col)
{
	return strtoll(db_text(r, row, col), NULL, 10);
}

bool
db_bool(const struct db_result *r, size_t row, int col)
{
	return db_text(r, row, col)[0] == 't';
}
