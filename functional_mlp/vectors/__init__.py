"""Conformance vectors: cases with certified answers, for implementations in any language, and who verifies one.

The data are the .json files beside this one, described in README.md and docs/reference/vectors.md. Names are listed
once, in `__init__.pyi`, and loaded when first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
