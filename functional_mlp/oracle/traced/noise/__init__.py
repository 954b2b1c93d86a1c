"""How far a right program strays: every operation of a trace errs as one of the declared precision may."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
