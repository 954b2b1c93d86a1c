"""6. What people get wrong in backpropagation, as data, and made on purpose."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
