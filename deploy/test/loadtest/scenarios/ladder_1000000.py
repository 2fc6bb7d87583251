"""The rung of 1,000,000 certificates and 20,000 agents: ../ladder.py."""
import ladder

NAME = "ladder_1000000"
GROUP = None
SECONDS = LONGEST = ladder.PHASE_S
CERTIFICATES, AGENTS = 1_000_000, 20_000
WHAT = ladder.what(CERTIFICATES, AGENTS)


def run(run):
    ladder.run_rung(run, CERTIFICATES, AGENTS)
