"""
Where a run's files lie: on one's own disk, below the build, and in the archive if the run is a full one of a checkout without changes.
Nothing of the archive is written over, and nothing comes there that the record would refuse.
"""
import gzip
import json
import shutil

import artifacts
from fleet import BUILD, ROOT

ARCHIVE = ROOT / "deploy/test/loadtest-artifacts"
RECORD = ROOT / "scripts/scale-baseline/record.json"
DISK = BUILD / "loadtest"
BY_PLAIN = "k6: it was not here or not to be taken, plain.py made the load"


def is_in_archive(path):
    return ARCHIVE in (path.resolve(), *path.resolve().parents)


def least_of(scenario):
    """What a full run has at least; None of a scenario that the record does not list."""
    listed = json.loads(RECORD.read_text(encoding="utf-8"))["scenarios"]
    return next((s["least"] for s in listed if s["name"] == scenario), None)


def shortcomings(summary):
    """Why a summary is no part of the record: words for each reason."""
    commit, least = summary["commit"], least_of(summary["scenario"])
    if commit == "unknown" or commit.endswith("-dirty"):
        yield "the checkout has changes that are not committed" if commit.endswith("-dirty") else "its commit is not known"
    else:
        try:
            artifacts.check(summary)
        except artifacts.Refused as e:
            yield str(e)
    if least is None:
        yield "scripts/scale-baseline/record.json does not list it"
    elif short := artifacts.shortfalls(summary, least):
        yield f"a short run: {', '.join(short)}"
    if BY_PLAIN in summary["not_measured"]:
        yield "k6 did not make its load"


class Place:
    """given: the directory that somebody named; there a run lies, full or not, and takes the place of the one before."""

    def __init__(self, report, given=None, disk=None, archive=None):
        self.report, self.given, self.archive = report, given, archive or ARCHIVE
        self.where = given or (disk or DISK) / f"{report.now:%Y-%m-%d-%H%M%S}-{report.data['commit']}"

    def keep(self, files):
        """{name: path}, packed, as the archive wants raw files; but logs, which only a run that failed has."""
        for name, path in files.items():
            if not path.exists():
                continue
            self.where.mkdir(parents=True, exist_ok=True)
            if name.endswith((".gz", ".log")):
                shutil.copy(path, self.where / name)
                continue
            with open(path, "rb") as plain, gzip.open(self.where / f"{name}.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)

    def write(self):
        """(the summary's path, why it is no part of the record: nothing where it lies in the archive, or in a directory that was named)."""
        path = self.report.write(self.where)
        if self.given:
            return path, []
        why = list(shortcomings(self.report.data))
        folder = self.archive / f"{self.report.data['date'][:10]}-{self.report.data['commit']}"
        if not why and (folder / path.name).exists():
            why = [f"{folder / path.name} is there already, of the same day and commit; remove it first if this is to take its place"]
        return (path, why) if why else (self._archive(folder) / path.name, [])

    def _archive(self, folder):
        """Logs of a run that failed stay: the archive takes none."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.where.glob(f"{self.report.scenario}.*"):
            if path.suffix != ".log":
                shutil.move(path, folder / path.name)
        if not any(self.where.iterdir()):
            self.where.rmdir()
        return folder
