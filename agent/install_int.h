/*
 * install_int: what the parts of an install share: install.c makes versions
 * and moves the link, adopt.c takes paths over and gives them back, spot.c is
 * one such path and standing.c what stood there.
 */
#ifndef AGENT_INSTALL_INT_H
#define AGENT_INSTALL_INT_H

#include <sys/stat.h>

#include "agent/install.h"

#define CERT_FILE "fullchain.pem"
#define CHAIN_FILE "chain.pem"
#define KEY_FILE "privkey.pem"
#define PAIR_MAX (256 * 1024)
#define ADOPTED "adopted"

/* Texts of one version; chain may be NULL: none.  A look is that of the file
 * which a text was read from, NULL: none was. */
struct pair {
	const char *fullchain, *chain, *key;
	size_t key_len;
	const struct stat *cert_look, *key_look, *chain_look;
};

/* *out_why with errno's text; RC_IO. */
rc install_fail(struct arena *a, const char **out_why, const char *what,
    const char *path);
/* T itself, checked; the caller closes *out_fd. */
rc install_open(struct arena *a, const struct install_paths *p, int *out_fd,
    const char **out_why) MUST_CHECK;
/* T/v likewise. */
rc install_open_versions(struct arena *a, const struct install_paths *p,
    int *out_fd, const char **out_why) MUST_CHECK;
/* T/v/<version> whole and synced, with the owners and modes it shall have. */
rc install_write_version(struct arena *a, const struct install_paths *p,
    const char *version, const struct pair *pair,
    const char **out_why) MUST_CHECK;
/* T/v/<version>: the files that an install makes, and it when it is empty.
 * Gone is fine; RC_IO with errno when it is still there. */
rc install_remove_version(int v_fd, const char *version) MUST_CHECK;
/* T/current -> target; nothing else. */
rc install_point(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why) MUST_CHECK;
/* Whether the version that target ("v/x") names has both its files. */
rc install_check_whole(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why) MUST_CHECK;

#endif
