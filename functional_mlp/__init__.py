"""functional-mlp: a functional reference for multilayer perceptrons with hand-derived gradients.

Names are listed once, in `__init__.pyi`, and loaded when first used: importing the package imports no JAX, starts no
backend and changes no setting.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
