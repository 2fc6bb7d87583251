"""
What a process takes, also where it was built with sanitizers.
"""

# Without these AddressSanitizer keeps 256 MB of what was freed, to find its
# later use, and gives nothing back.
MEASURED = {"ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64:"
                            "allocator_release_to_os_interval_ms=100"}


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
