"""
Two hosts made of network namespaces with a cable between them.  The thread
that enters the first one takes all that it starts along; what runs on the
second one is started with on_second as its prefix.
"""
import ctypes
import os
import subprocess

from guard import Guard

CLONE_NEWNET = 0x40000000
FIRST, SECOND = "10.77.0.1", "10.77.0.2"


class CannotMake(Exception):
    pass


def ip(*arguments):
    done = subprocess.run(["/usr/sbin/ip", *arguments], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise CannotMake(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def move_to(path):
    with open(path, "rb") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise CannotMake(f"setns {path}: {os.strerror(ctypes.get_errno())}")


class Hosts:
    def __init__(self):
        if os.geteuid() != 0:
            raise CannotMake("network namespaces need root")
        self.first, self.second = (f"cc{os.getpid()}{side}" for side in "ab")
        self.cable = f"cc{os.getpid()}"  # its name in both; 15 characters at most
        # As commands, for the case that close() is never reached.
        self.guard = Guard(f"/tmp/{self.cable}-hosts", [["/usr/sbin/ip", "netns", "del", n] for n in (self.first, self.second)])
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            for name in (self.first, self.second):
                ip("netns", "add", name)
            # Made inside, so that the machine's own network never sees it.
            ip("-n", self.first, "link", "add", self.cable, "type", "veth", "peer", "name", self.cable, "netns", self.second)
            for name, address in ((self.first, FIRST), (self.second, SECOND)):
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "addr", "add", f"{address}/24", "dev", self.cable)
                ip("-n", name, "link", "set", self.cable, "up")
            move_to(f"/run/netns/{self.first}")
        except CannotMake:
            self.close()
            raise

    @property
    def on_second(self):
        return ["/usr/bin/nsenter", f"--net=/run/netns/{self.second}"]

    def cut(self):
        """Pulls the cable; nobody is told that a connection ended."""
        ip("-n", self.first, "link", "set", self.cable, "down")

    def silence(self):
        """The second host falls silent as seen from the first, which still finds its cable plugged in."""
        ip("-n", self.second, "addr", "flush", "dev", self.cable)
        ip("-n", self.first, "neigh", "replace", SECOND, "lladdr", "02:00:00:00:00:01", "dev", self.cable)

    def mend(self):
        ip("-n", self.first, "link", "set", self.cable, "up")

    def close(self):
        move_to(f"/proc/self/fd/{self.home}")
        os.close(self.home)
        self.guard.end()
