"""Losses, each term beside its hand-derived derivative; the record `Loss` that scales, reduces, penalises.

`kinds.py` lists the kinds; `regression.py`, `cross_entropies.py`, `focal.py` and `margins.py` hold their formulas, for
JAX's arrays and NumPy's; `labels.py` makes targets of class labels.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
