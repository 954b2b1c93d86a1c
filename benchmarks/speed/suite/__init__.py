"""The parts of `python -m benchmarks.speed`: every competitor of a workload side by side.

Each competitor has a process of its own, which is idle unless it is asked. They are asked in turn, round after round,
so that a change of the machine's clock falls on all; ratios are taken within a round. No time is shown of a competitor
whose numbers are not those of a float64 NumPy reference, to the noise floor of float32.

    problems.py     what is computed: networks, data, initial values
    references.py   the same in float64 NumPy
    agreement.py    how far float32 may be from that, and whether a competitor is within it
    workloads.py    which problems are timed, and how they are told
    ../competitors/ who computes them, each as its users would write it
    worker.py       the process of one competitor; workers.py is its parent's side
    measuring.py    the rounds
    tables.py       what is printed and written

Columns of the tables: the median time per update (or whatever is counted) over all rounds; how many times as long as
functional_mlp that is, the median of the ratios within the rounds; the seconds of setting up and the first call, of
about 100 updates, imports left out (compilation, for those who compile); the largest deviation from the reference in
units of the noise floor. Absolute times are those of one machine on one day; nothing here asserts any.
"""
