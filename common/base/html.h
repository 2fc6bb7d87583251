/*
 * html: text for pages that people look at.
 */
#ifndef COMMON_BASE_HTML_H
#define COMMON_BASE_HTML_H

#include "common/base/buf.h"

/* Puts text so that it shows as it is, between tags and in the values of
 * attributes in double or single quotes. */
void html_put(struct buf *b, const char *text);

#endif
