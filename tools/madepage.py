"""The end of a program that makes one page of docs/: writes it, or says whether the committed one is the same."""
import sys


def build_dir(arguments):
    return next((a for a in arguments if a != "--check"), "build")


def keep(path, made, is_check, hint):
    """Exit code; is_check: nothing is written, 1 when the page differs."""
    if not is_check:
        with open(path, "w", encoding="utf-8") as f:
            f.write(made)
        return 0
    with open(path, encoding="utf-8") as f:
        if f.read() == made:
            return 0
    print(f"{path} is not what {hint}", file=sys.stderr)
    return 1
