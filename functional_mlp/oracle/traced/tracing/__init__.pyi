from .evaluation import DivergenceError as DivergenceError
from .evaluation import Evaluation as Evaluation
from .evaluation import Path as Path
from .evaluation import planned as planned
from .places import Place as Place
from .places import place_of as place_of
from .trace import Trace as Trace
from .trace import trace_vjp as trace_vjp
