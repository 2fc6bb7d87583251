/*
 * url: whether the operator's database URL says what was meant by it.
 *
 * A password that is not escaped is cut in two: libpq takes its rest for a
 * host, a port or a database, which it and the server then name in their
 * messages. So it is judged before anybody is asked, in words that hold nothing
 * of it.
 */
#ifndef COMMON_DB_URL_H
#define COMMON_DB_URL_H

/* NULL, or what is wrong with it, for people, on one line; static text. */
const char *db_url_fault(const char *url);

#endif
