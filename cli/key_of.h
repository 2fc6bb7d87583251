/*
 * key_of: which server the key in the environment is for.
 *
 * CERTCTL_API_KEY is the key of CERTCTL_SERVER_URL and goes to no other; where
 * that says nothing it goes to the server that is asked, but not in the place
 * of a context's own key.  What --api-key says goes where it is sent.
 */
#ifndef CLI_KEY_OF_H
#define CLI_KEY_OF_H

#include <stdbool.h>

struct cli;
struct context;

/* Whether two URLs lead to one server, however they are written. */
bool key_of_same(const char *a, const char *b);
/* Whether the key that the run has may go to this server, which a context, or
 * NULL, names.  False with a message: it is somebody else's, or may be. */
bool key_of_may_go(struct cli *c, const char *server,
    const struct context *context);

#endif
