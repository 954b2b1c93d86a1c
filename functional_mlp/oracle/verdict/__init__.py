"""5. Consistent, wrong or undecided: what was given against the truth, entry by entry."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
