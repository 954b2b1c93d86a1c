"""A person's own table of numbers and categories: read, checked, and made into arrays."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
