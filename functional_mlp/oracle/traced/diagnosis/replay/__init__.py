"""The function and its backward pass, operation by operation, to be run with something changed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
