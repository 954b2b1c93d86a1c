from .compose import Composed as Composed
from .compose import compose as compose
from .constants import Part as Part
