/*
 * command: one row of the table of commands, and what all rows share.
 *
 * A row says everything of its command: what it takes, which call it is and
 * what of the answer is shown.  Parser, help, completion, man page and
 * docs/reference/cli.md are made of the rows, so they cannot differ; call.c
 * runs every row that is only a call.  The rows stand in commands/<noun>.def.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

struct cli;

/* How a value stands in the query or the body, beyond what takes says. */
enum option_form {
	OPTION_PLAIN, /* as takes says: a number, true or false, or text */
	OPTION_OWN,   /* for the command's own code: it is not sent */
	OPTION_TEXTS, /* A,B: a list of texts */
	OPTION_INTS,  /* 1,2: a list of whole numbers */
	OPTION_TAGS,  /* K=V,K=V: an object of texts */
	OPTION_JSON,  /* the value is JSON */
	OPTION_FILE   /* a file's text */
};

/* Whether --dry-run shows *** in its place. */
enum option_secret {
	OPTION_OPEN,
	OPTION_SECRET,
	OPTION_SECRETS_IN /* of an object: those whose names say so */
};

#define COMMAND_TIME "TIME"

/*
 * takes: NULL for a flag; bars between the words that it may be ("a|b"), a
 * range of whole numbers ("1..500"), a COMMAND_TIME, which the API may pass
 * over where it is none, or what stands for any text.  A text in
 * capitals that names a kind of object (command_noun_of) is an id: names work
 * too, and completion asks the server.
 */
struct option {
	const char *flag; /* "--owner-id" */
	const char *takes;
	const char *help;
	enum option_form form;
	/* Of the query or the body; dots lead into objects.  NULL: the flag
	 * without its dashes, and _ for each other. */
	const char *member;
	const char *null;  /* the value that stands for none; or NULL */
	const char *sends; /* what a flag sends, JSON; NULL: true */
	const char *dflt;  /* sent when it is not given; NULL: nothing is */
	const char *brief; /* "-f"; or NULL */
	const char *needs; /* the flag that must be given with it; or NULL */
	bool is_required;
	bool is_many;  /* it may be given again */
	bool is_query; /* of a command with a body: it is of the query */
	enum option_secret secret;
};

enum column_form {
	COLUMN_TEXT,
	COLUMN_TIME,
	COLUMN_LEFT,
	COLUMN_AGENT /* an agent's status, or that it has not reported yet */
};
struct column {
	const char *head;
	const char *member;
	enum column_form form;
};

enum command_flag {
	COMMAND_CALL = 1 << 0,  /* a change: --dry-run shows it instead */
	COMMAND_BODY = 1 << 1,  /* --set and --file give members of the body */
	COMMAND_LIST = 1 << 2,  /* answers rows */
	COMMAND_PAGED = 1 << 3, /* in pages: --page, --limit and their like */
	COMMAND_TEXT = 1 << 4,  /* answers no JSON; it is shown as it is */
	COMMAND_OFFLINE = 1 << 5, /* asks no server */
	COMMAND_HIDDEN = 1 << 6   /* in no help */
};

/*
 * Where a command has no function, the call is all of it.  Each {} of the path
 * is the next word; where a word is left, it is the member of the body that
 * last_word names.  done is told after a change that shows no members: {0} is
 * the first word, {name} a member of the answer.
 */
struct command {
	const char *noun;
	const char *verb;  /* NULL: the noun alone */
	const char *words; /* "ID NAME", "ID...", "[ID...]", "" */
	const char *help;
	const char *method, *path;
	unsigned flags;                /* enum command_flag */
	const struct option *options;  /* up to one without a flag; or NULL */
	const struct option *options2; /* more of them, of several commands */
	const struct column *columns;  /* up to one without a head; or NULL */
	const char *const *members;    /* of an object, up to NULL; or NULL */
	const char *rows;      /* the member that holds the rows; NULL: data */
	const char *sorts;     /* what the API sorts a list by: "name|status" */
	const char *last_word; /* "fingerprint_sha256" */
	const char *done;
	const char *asks; /* what cannot be undone, before it is agreed to */
	const char *asks_with; /* only with that flag it cannot; or NULL */
	/* The kind of live events that tells when it is another, or kinds with
	 * commas between; brings --watch.  A first word is the id of that
	 * kind. */
	const char *watches;
	const char *calls; /* further routes, a line each: "GET /api/v1/jobs" */
	int (*run)(struct cli *c);
};
extern const struct command commands[];
extern const size_t ncommands;

/* What stands first in help of a noun; the nouns in its order. */
struct noun {
	const char *name;
	const char *help;
};
extern const struct noun nouns[];
extern const size_t nnouns;

/* What every command takes as well; up to one without a flag. */
extern const struct option command_options[];

/* Walks the options of a command, or of none (NULL), the shared ones last;
 * *at is 0 before the first.  NULL behind the last.  all: with those of every
 * command. */
const struct option *command_next(const struct command *m, size_t *at,
    bool all);
/* The option of that name, in n bytes of it; brief ones too.  Or NULL. */
const struct option *command_option(const struct command *m, const char *name,
    size_t n);
/* Row of that noun and verb (NULL: the noun alone), or NULL. */
const struct command *command_find(const struct command *all, size_t n,
    const char *noun, const char *verb);
bool command_is_noun(const struct command *all, size_t n, const char *noun);
/* The option's member of query or body. */
const char *command_member(struct arena *a, const struct option *o);
/* The noun whose ids the placeholder stands for ("ISSUER": "issuers"); of ID,
 * own.  NULL: it is no id. */
const char *command_noun_of(const char *placeholder, size_t n, const char *own);

/* How many words a command asks for. */
void command_words(const struct command *m, size_t *out_min, size_t *out_max);
/* The placeholder of the ith word, *out_n bytes; NULL: there is none. */
const char *command_word(const struct command *m, size_t i, size_t *out_n);

/* What stands for a value in a usage: a long list of words is a WORD. */
const char *command_takes(const struct option *o);
/* The usage behind the command's name, without the options of all. */
const char *command_usage(struct arena *a, const struct command *m);
/* The value as takes spells it (words fit in any letter case, a date is its
 * begin), or NULL when it is not allowed. */
const char *command_value(struct arena *a, const char *takes,
    const char *value);

#endif
