from .grid import differences_on_grid as differences_on_grid
from .programs import differences_and_more as differences_and_more
