"""A person's own notation: names such as dW2, and lines of NumPy in the layout in which arrays were handed over."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
