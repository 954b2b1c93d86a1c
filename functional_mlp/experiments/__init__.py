"""The published systems and the demonstrations, as programs: `functional-mlp experiment NAME --help`.

`functional-mlp experiment all` runs them all and prints published, reference and functional_mlp numbers side by side.
Nothing is computed by importing this package.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
