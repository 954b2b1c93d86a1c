"""9. Somebody's code, asked several times with cases that it cannot know."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
