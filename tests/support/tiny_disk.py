"""
A disk of its own that a test can fill: a small tmpfs over a directory.
"""
import contextlib
import subprocess

import pytest


class TinyDisk:
    def __init__(self, directory):
        self.directory = directory
        self.ballast = directory / "ballast"

    def fill(self):
        """To the last byte."""
        with open(self.ballast, "wb", buffering=0) as f, contextlib.suppress(OSError):
            while True:
                f.write(b"x" * 4096)

    def free(self):
        self.ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def tiny_disk(directory, size="64k"):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", directory], check=False,
                             capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("no tmpfs may be mounted here; the unit tests fill a file instead")
    try:
        yield TinyDisk(directory)
    finally:
        subprocess.run(["umount", "-l", directory], check=False)
