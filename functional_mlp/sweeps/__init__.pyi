from .part import RUNS_TO_DISK as RUNS_TO_DISK
from .run import SweepResult as SweepResult
from .run import sweep as sweep
from .spec import medians_of as medians_of
from .spec import read_sweep_spec as read_sweep_spec
from .spec import run_sweep as run_sweep
from .spec import table_of_runs as table_of_runs
