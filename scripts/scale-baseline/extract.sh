#!/bin/sh
# Makes the record's tables, its plots and the model of certctl size from the archived artifacts; see extract.py.
exec /usr/bin/python3 -B "$(dirname "$0")/extract.py" "$@"
