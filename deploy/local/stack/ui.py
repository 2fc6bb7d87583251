"""What `make up` prints: one line a step, and who it waits for when it waits."""
import contextlib
import sys
import threading
import time


class StepFailed(Exception):
    """why: what happened; fix: what to do about it."""

    def __init__(self, why, fix=""):
        super().__init__(why)
        self.why = why
        self.fix = fix


class Log:
    """The log file of a run: output of compilers, initdb and so on."""

    def __init__(self, path, file):
        self.path = path
        self.file = file

    def note(self, text):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError):  # a full disk: what fails by it says so itself
            self.file.write(f"{stamp} {text}\n".encode())

    def tail(self, lines=10):
        with open(self.path, "rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - 64 * 1024))
            return f.read().decode(errors="replace").splitlines()[-lines:]


def _say(text):
    print(text, flush=True)


class Steps:
    """Runs the steps; a wait of over three seconds says what it waits for."""

    def __init__(self, log):
        self.log = log
        self.name = ""
        self.started = 0.0
        self.waits_for = ""
        self.lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        told = ("", 0.0)
        while True:
            time.sleep(0.5)
            with self.lock:
                name, since, what = self.name, self.started, self.waits_for
            now = time.monotonic()
            if not name or now - since < 3:
                continue
            if told[0] != name + what or now - told[1] >= 15:
                _say(f"  ... {name}: waiting for {what or 'it to finish'} ({now - since:.0f} s)")
                told = (name + what, now)

    def waiting(self, what):
        with self.lock:
            self.waits_for = what

    def run(self, name, function, *args):
        """Runs function(*args); its text result ends the step's line."""
        with self.lock:
            self.name, self.started, self.waits_for = name, time.monotonic(), ""
        self.log.note(f"step {name}")
        try:
            result = function(*args)
        except StepFailed as e:
            self._failed(name, e.why, e.fix)
        except KeyboardInterrupt:
            self._failed(name, "interrupted", "run it again; it goes on where it was")
        except OSError as e:
            self._failed(name, str(e), "see the log")
        seconds = time.monotonic() - self.started
        with self.lock:
            self.name = ""
        _say(f"{seconds:7.1f} s  {name:<12} {result or ''}".rstrip())
        return result

    def _failed(self, name, why, fix):
        with self.lock:
            self.name = ""
        self.log.note(f"FAILED {name}: {why}")
        _say(f"FAILED at {name}: {why}")
        if fix:
            _say(f"  To fix it: {fix}")
        _say(f"  Log: {self.log.path}; its last lines:")
        for line in self.log.tail():
            _say(f"    {line}")
        sys.exit(1)


def wait_until(test, seconds, steps, what, every=0.05):
    """Waits until test() is true and returns what it gave."""
    steps.waiting(what)
    deadline = time.monotonic() + seconds
    while True:
        result = test()
        if result:
            steps.waiting("")
            return result
        if time.monotonic() > deadline:
            raise StepFailed(f"waited {seconds} s for {what}", "`make logs` shows what the processes said")
        time.sleep(every)
