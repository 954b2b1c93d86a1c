"""Networks for a table: settings compared from many initial values, the best kept for predictions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
