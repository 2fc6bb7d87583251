"""
The statements of the programs as the build has them, written or made of a noun's
description.
"""
import re

from fleet import BUILD

ROW = re.compile(r'^\{ "(\w+)", (\d+), \w+, \w+,\n((?:\t".*"\n?)+) \},$', re.M)
PLANNED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "VALUES")


def statements():
    """name: (parameters, text) of those that can be prepared: not CREATE, LOCK and their like."""
    source = (BUILD / "common" / "sql" / "sql_gen.c").read_text(encoding="utf-8")
    found = {}
    for name, nparams, rows in ROW.findall(source):
        text = "\n".join(re.findall(r'^\t"(.*)\\n"', rows, re.M)).replace('\\"', '"').replace("\\\\", "\\")
        if text.startswith(PLANNED):
            found[name] = int(nparams), text
    return found
