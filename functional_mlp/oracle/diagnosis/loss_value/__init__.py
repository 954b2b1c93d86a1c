"""Which other loss has the value that a program reports: another kind, reduction, factor, penalty or epsilon.

A reading is one change of the declared loss, or two that go together, whose value is the given one. One number proves
little: readings are told only where the number is known to so many digits that hardly any other would fit by chance.
`values.py` computes a loss in other ways, `changes.py` lists them, `readings.py` compares.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
