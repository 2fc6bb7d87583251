#!/usr/bin/python3
"""Asserts of the tests that can't fail, or that may run over nothing.

    assert (a, b)                   a tuple is true; so are constants, generators
    assert x or True, len(x) >= 0, x.count() >= 0, x == x
    assert re.search("a*", text)    fits every text
    x == 1                          compares, and asserts nothing
    for x in path.glob(..): assert  what is found may be nothing: name the list
    assert all(.. for x in q(..))   and assert that it holds something
    except Exception: around an assert, suppress(Exception) likewise

usage: check_asserts.py FILE...; prints `path:line: finding`, exit status 1 when
there is any.
"""
import ast
import re
import sys

# Calls whose answer may be empty.
FINDERS = {"glob", "rglob", "iterdir", "findall", "finditer", "query", "listdir"}
WRAPPERS = {"sorted", "list", "set", "reversed", "enumerate", "tuple"}
SWALLOWS = {"AssertionError", "Exception", "BaseException"}


def called(node):
    return getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""


def is_zero(node):
    return isinstance(node, ast.Constant) and node.value == 0


def compares_nothing(node):
    """x == x, len(x) >= 0"""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return False
    left, right, op = node.left, node.comparators[0], node.ops[0]
    if isinstance(op, ast.GtE) and is_zero(right):
        return called(left) == "len" or "count" in called(left).lower()
    calls = any(isinstance(n, ast.Call) for n in ast.walk(left))
    return not calls and ast.dump(left) == ast.dump(right) and isinstance(op, (ast.Eq, ast.Is, ast.LtE, ast.GtE))


def fits_everything(node):
    """A search for what is found in every text."""
    if called(node) not in ("search", "match") or not node.args or not isinstance(node.args[0], ast.Constant):
        return False
    pattern = node.args[0].value
    return isinstance(pattern, (str, bytes)) and re.search(pattern, pattern[:0]) is not None


def is_true(node):
    """Whatever happens."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return bool(node.elts)
    if isinstance(node, ast.Dict):
        return bool(node.keys)
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(v, ast.Constant) for v in node.values)
    if isinstance(node, ast.BoolOp):
        return (any if isinstance(node.op, ast.Or) else all)(is_true(v) for v in node.values)
    return isinstance(node, (ast.GeneratorExp, ast.Lambda)) or compares_nothing(node) or fits_everything(node)


def may_be_empty(node):
    while called(node) in WRAPPERS and node.args:
        node = node.args[0]
    return called(node) in FINDERS


def asserts_in(body):
    return [n for statement in body for n in ast.walk(statement) if isinstance(n, ast.Assert)]


def names_of(node):
    return {getattr(n, "attr", getattr(n, "id", "")) for n in ast.walk(node)} if node else {"BaseException"}


def check_assert(node, functions):
    if is_true(node.test) or isinstance(node.test, ast.BoolOp) and any(is_true(v) for v in node.test.values):
        yield node.lineno, "an assert, or a part of it, that can't fail"
    if isinstance(node.test, ast.Name) and node.test.id in functions:
        yield node.lineno, f"{node.test.id} is not called"
    for call in (n for n in ast.walk(node.test) if called(n) == "all" and n.args and isinstance(n.args[0], ast.GeneratorExp)):
        if may_be_empty(call.args[0].generators[0].iter):
            yield node.lineno, "all() of what may be empty: name the list, and assert that it is not"


def check(tree):
    functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield from check_assert(node, functions)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare):
            yield node.lineno, "compares, and asserts nothing"
        elif isinstance(node, ast.For) and may_be_empty(node.iter) and asserts_in(node.body):
            yield node.lineno, "asserts in a loop over what may be empty: name the list, and assert that it is not"
        elif isinstance(node, ast.Try) and asserts_in(node.body) and any(names_of(h.type) & SWALLOWS for h in node.handlers):
            yield node.lineno, "swallows the asserts inside"
        elif isinstance(node, ast.With) and asserts_in(node.body) and any(
                called(i.context_expr) == "suppress" and names_of(i.context_expr) & SWALLOWS for i in node.items):
            yield node.lineno, "swallows the asserts inside"


def main(paths):
    found = 0
    for path in paths:
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        for line, text in sorted(check(tree)):
            print(f"{path}:{line}: {text}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
