"""4. How far a right program strays: where it rounds, and what that does to every entry."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
