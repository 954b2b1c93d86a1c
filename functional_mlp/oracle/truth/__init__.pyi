from .solution import DisagreementError as DisagreementError
from .solution import Solution as Solution
from .solution import float64_on_cpu as float64_on_cpu
from .solution import solve as solve
