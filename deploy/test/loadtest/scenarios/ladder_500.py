"""The rung of 500 certificates and 100 agents: ../ladder.py."""
import ladder

NAME = "ladder_500"
GROUP = None
SECONDS = LONGEST = ladder.PHASE_S
CERTIFICATES, AGENTS = 500, 100
WHAT = ladder.what(CERTIFICATES, AGENTS)


def run(run):
    ladder.run_rung(run, CERTIFICATES, AGENTS)
