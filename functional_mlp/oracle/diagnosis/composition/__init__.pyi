from .compose import Composed as Composed
from .compose import compose as compose
from .constants import RELATION as RELATION
from .constants import Constants as Constants
from .constants import Part as Part
from .constants import cost_of as cost_of
from .constants import cost_of_layers as cost_of_layers
