"""
How fast something grows: a line fitted to the samples of a run by least squares.
"""


def line(points):
    """(slope, mean) of (x, y) pairs; (0, mean) of fewer than two different x."""
    n = len(points)
    mean_x, mean_y = (sum(p[i] for p in points) / n for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return (sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0), mean_y


def fit(samples, since_s):
    """{name: (KB an hour, KB on average)} of each program that was there from since_s to the end; generators of load are none."""
    late = [s for s in samples if s["s"] >= since_s]
    found = {}
    for name in late[0] if late else ():
        if name in ("s", "busy_s") or name.startswith("generator"):
            continue
        points = [(s["s"] / 3600, s[name]["rss_kb"]) for s in late if name in s and s[name]["rss_kb"]]
        if len(points) == len(late) > 1:
            found[name] = line(points)
    return found
