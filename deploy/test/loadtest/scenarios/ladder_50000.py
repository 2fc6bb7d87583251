"""The rung of 50,000 certificates and 10,000 agents: ../ladder.py."""
import ladder

NAME = "ladder_50000"
GROUP = None
SECONDS = LONGEST = ladder.PHASE_S
CERTIFICATES, AGENTS = 50_000, 10_000
WHAT = ladder.what(CERTIFICATES, AGENTS)


def run(run):
    ladder.run_rung(run, CERTIFICATES, AGENTS)
