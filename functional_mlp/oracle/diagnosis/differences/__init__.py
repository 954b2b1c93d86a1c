"""Finite differences: told by the grid that their numbers lie on, or by the errors that they leave.

`grid.py` reads the step off the numbers; `programs.py` finds of which other function than the declared one they are.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
