"""The rung of 5,000 certificates and 1,000 agents: ../ladder.py."""
import ladder

NAME = "ladder_5000"
GROUP = None
SECONDS = LONGEST = ladder.PHASE_S
CERTIFICATES, AGENTS = 5_000, 1_000
WHAT = ladder.what(CERTIFICATES, AGENTS)


def run(run):
    ladder.run_rung(run, CERTIFICATES, AGENTS)
