"""An elementwise function, over all numbers of a format: how many ulp its values and derivatives are off, and where."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
