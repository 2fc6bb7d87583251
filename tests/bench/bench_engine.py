"""
Entries of the scheduler and the job engine.  Each takes the Bench, which
collects the figures.
"""
ENTRIES = {}
