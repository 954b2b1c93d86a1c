"""11. Which operation of a function is missing, doubled or another one in the backward pass that made these numbers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
