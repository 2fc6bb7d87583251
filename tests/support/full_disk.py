"""
A database whose disk can be filled, by whoever runs the test: full_disk.c, loaded
into PostgreSQL, refuses what needs room.

    disk = FullDisk(fleet)
    fleet.start_postgres(env=disk.env)
    with disk.filled(): ...
"""
import contextlib
import subprocess
from pathlib import Path

from fleet import clean_env

SOURCE = Path(__file__).with_suffix(".c")


class FullDisk:
    def __init__(self, fleet):
        library, self.flag = fleet.dir / "full_disk.so", fleet.dir / "disk-is-full"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True, env=clean_env())
        self.env = {"LD_PRELOAD": str(library), "FULL_DISK": str(self.flag)}

    @contextlib.contextmanager
    def filled(self):
        self.flag.touch()
        try:
            yield
        finally:
            self.flag.unlink()
