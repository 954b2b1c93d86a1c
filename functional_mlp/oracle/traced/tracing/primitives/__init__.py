"""What is known of JAX's primitives: what each computes, and how it may round; one table."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
