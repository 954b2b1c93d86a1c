from .agreement import DisagreementError as DisagreementError
from .scope import computing as computing
from .scope import float64_on_cpu as float64_on_cpu
from .solution import Solution as Solution
from .solution import solve as solve
from .trajectory import Trajectory as Trajectory
from .trajectory import follow as follow
