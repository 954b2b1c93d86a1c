"""7. Which mistake it is: what reproduces the numbers that were given."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
