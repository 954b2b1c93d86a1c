"""`python -m experiments`: all experiments, and published numbers beside reference and functional_mlp."""

import sys

if __name__ == "__main__":
    # here, not above: the processes that compute the reference import this file too, and need none of this
    from experiments._common import run_program
    from experiments._demo import parser, run

    sys.exit(run_program(parser(), run))
