from .artifact import Artifact as Artifact
from .artifact import Comparison as Comparison
from .artifact import load as load
from .artifact import verify as verify
from .writer import PLATFORMS as PLATFORMS
from .writer import Function as Function
from .writer import export as export
from .writer import functions_of as functions_of
