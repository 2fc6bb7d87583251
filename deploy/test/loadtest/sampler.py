"""
What each program of a stack takes while it is under load: memory and processor time, those of its children among them; the
generators' beside them, and what the machine did besides.
"""
import os
import threading
import time
from collections import defaultdict
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
EVERY_S = 1.0
SERVER_EVERY = 5  # samples: adding up a server's memory walks its page tables


def read(path):
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def kb(pid, name, file="status"):
    for line in read(f"/proc/{pid}/{file}").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def stat(pid):
    """Fields from the state on, or nothing when it is gone."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def cpu_s(pid):
    """Seconds of a processor, those of children that it has waited for among them."""
    return sum(int(n) for n in stat(pid)[11:15]) / TICKS


def children(pid):
    return [int(n) for task in Path(f"/proc/{pid}/task").glob("*/children") for n in read(task).split()]


def family(pid):
    found = [pid]
    for one in found:  # grows as it goes
        found += children(one)
    return found


def busy_s():
    """What all processors have done since the machine started, without what a host took from them."""
    user, nice, system, _idle, _wait, irq, softirq = (int(n) for n in read("/proc/stat").split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


class Sampler:
    """
    known: called for {name: pid} of what runs now; server: called for the pid of PostgreSQL's first process, or None where it
    cannot be looked at.  Several pids may have one name after each other, and those that begin with "generator" are told as one.
    """

    def __init__(self, known, server, every=EVERY_S):
        self.known, self.server, self.every = known, server, every
        self.begun = self.ended = None
        self.cpu, self.base = defaultdict(dict), {}  # by name, by pid: seconds; what a pid had at first
        self.peak, self.last = defaultdict(int), {}
        self.samples = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.begun, self.busy = time.monotonic(), busy_s()
        self._take(first=True)
        self.thread.start()

    def stop(self):
        self.is_over.set()
        self.thread.join()
        self._take()
        self.ended = time.monotonic()
        self.busy = busy_s() - self.busy

    def _run(self):
        while not self.is_over.wait(self.every):
            self._take()

    def _note(self, name, pid, spent, rss, at_most, first):
        if spent == 0.0 and rss == 0:
            return  # it ended; what is known of it stays
        self.base.setdefault((name, pid), spent if first else 0.0)
        self.cpu[name][pid] = spent - self.base[name, pid]
        if rss:
            self.peak[name] = max(self.peak[name], at_most)
            self.last[name] = rss

    def _take(self, first=False):
        for name, pid in list(self.known().items()):
            all_of_it = family(pid)
            self._note(name, pid, sum(cpu_s(p) for p in all_of_it), sum(kb(p, "VmRSS") for p in all_of_it),
                       sum(kb(p, "VmHWM") for p in all_of_it), first)
        self._take_server(first)
        self.samples.append({"s": round(time.monotonic() - self.begun, 1), "busy_s": round(busy_s() - self.busy, 2)} | {
            name: {"rss_kb": self.last.get(name), "cpu_s": round(sum(spent.values()), 2)} for name, spent in self.cpu.items()})

    def _take_server(self, first):
        pid = self.server()
        if not pid:
            return
        all_of_it = family(pid)
        spent = sum(cpu_s(p) for p in all_of_it)
        rss = 0
        if first or self.is_over.is_set() or len(self.samples) % SERVER_EVERY == 0:
            # What they share is counted once: each has its part of it.
            rss = sum(kb(p, "Pss", "smaps_rollup") for p in all_of_it)
        self._note("postgresql", pid, spent, rss, rss, first)

    def told(self):
        """Rows for a summary; the machine's own row says what was none of ours."""
        whole = (self.ended - self.begun) * os.cpu_count()
        rows = defaultdict(lambda: [0, 0, 0.0])
        for name, spent in self.cpu.items():
            row = rows["generator" if name.startswith("generator") else name]
            row[0] += self.peak[name]
            row[1] += self.last.get(name, 0)
            row[2] += sum(spent.values())
        rows["everything else on the machine"] = [0, 0, max(0.0, self.busy - sum(r[2] for r in rows.values()))]
        return [{"name": name, "rss_peak_kb": peak, "rss_end_kb": last, "cpu_s": round(spent, 2), "cpu_share": round(spent / whole, 4)}
                for name, (peak, last, spent) in rows.items()]
