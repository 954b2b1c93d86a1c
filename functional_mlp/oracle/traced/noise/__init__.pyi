from .floors import Floor as Floor
from .floors import estimate as estimate
