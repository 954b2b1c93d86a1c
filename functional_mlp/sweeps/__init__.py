"""Many runs at once: thousands of networks, each with its own key and learning rate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
