"""Devices, processes, and what they tell each other: where a computation runs, and how it is started there."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
