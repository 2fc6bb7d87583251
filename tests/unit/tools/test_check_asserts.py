"""Which asserts tools/check_asserts.py finds, and which it leaves alone.

    test_check_asserts.py PATH_OF_CHECK_ASSERTS
"""
import os
import subprocess
import sys
import tempfile
import unittest

CHECK_ASSERTS = os.path.abspath(sys.argv.pop(1))

FOUND = [
    "assert (a, b)", "assert a or True", "assert True", "assert 'text'", "assert f'{a} is odd'", "assert (x for x in a)", "assert [a]",
    "assert {'a': a}", "assert lambda: a", "assert len(a) >= 0", "assert a.count(b) >= 0", "assert a == a", "assert a.b <= a.b", "assert a and (b, c)",
    "assert re.search('a*', a)", "assert re.match(r'(x)?', a)", "a == b", "a in b", "def f(): pass\nassert f",
    "for x in path.glob('*'): assert x", "for x in sorted(path.iterdir()): assert x", "for i, x in enumerate(re.findall('a', a)):\n  assert x",
    "for x in db.query('SELECT'):\n  if x:\n    assert x.y", "assert all(x for x in path.glob('*'))", "assert a and all(x for x in re.findall('a', a))",
    "try:\n  assert a\nexcept Exception:\n  pass", "try:\n  assert a\nexcept:\n  pass", "try:\n  assert a\nexcept (OSError, AssertionError):\n  pass",
    "with contextlib.suppress(Exception):\n  assert a",
]
LEFT = [
    "assert a", "assert a == b", "assert a or b", "assert len(a) > 0", "assert next(a) == next(a)", "assert re.search('a+', a)",
    "assert re.fullmatch('a*', a)", "assert f'{a}'", "for x in (1, 2): assert x", "found = path.glob('*')\nfor x in found: assert x",
    "for x in path.glob('*'): print(x)", "assert all(x for x in found)", "try:\n  assert a\nexcept OSError:\n  pass",
    "try:\n  a()\nexcept Exception:\n  pass", "with contextlib.suppress(OSError):\n  assert a", "f()", "x = a == b",
]


class CheckAsserts(unittest.TestCase):
    def run_on(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as f:
            f.write(text + "\n")
            f.flush()
            done = subprocess.run([sys.executable, CHECK_ASSERTS, f.name], text=True, capture_output=True, check=False)
            self.assertEqual(done.stderr, "", text)
            return done.returncode, done.stdout.replace(f.name, "F")

    def test_what_cannot_fail_is_found(self):
        for text in FOUND:
            code, output = self.run_on(text)
            self.assertEqual(code, 1, text)
            self.assertRegex(output, r"\AF:\d+: \S", text)

    def test_what_can_fail_is_left_alone(self):
        for text in LEFT:
            self.assertEqual(self.run_on(text), (0, ""), text)


unittest.main()
