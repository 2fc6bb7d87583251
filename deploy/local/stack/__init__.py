"""The local stack of `make up`: one private PostgreSQL, the certctl processes, nginx."""
