"""functional-mlp: a functional reference for multilayer perceptrons with hand-derived gradients.

Names are listed once, in `__init__.pyi`, and loaded when first used: importing the package imports no JAX, starts no
backend and changes no setting.
"""

import sys
import types

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(types.ModuleType):
    """Keeps `functional_mlp.forward` and `.backward` the functions, although modules have these names too.

    The import system binds every submodule it loads to the package under its name, over the lazily loaded function.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("forward", "backward") and isinstance(value, types.ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
