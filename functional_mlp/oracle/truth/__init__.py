"""2. What is right: every intermediate and every gradient, by two derivations that must agree."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
