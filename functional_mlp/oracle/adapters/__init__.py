"""Models of other frameworks, asked for the gradients that they compute themselves.

`models.py` is the entrance; each framework has a file or a folder of its own, imported only when a model of it is asked
about. A model that is no plain multilayer perceptron is refused with the reason.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
