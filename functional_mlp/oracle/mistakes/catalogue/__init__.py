"""The mistakes that people really make in backpropagation, as data: what was done, where, and how to inject it.

Every mistake is a `Change` at one named place of the one pass (`changes.py`); no pass is written out here. In the
formulas: ct_x = dLoss/dx, a layer maps a_prev to z = a_prev W + b and a = f(z), n samples, K outputs, learning rate η,
penalty coefficient λ. The sentences say what such a program does; ways to make one mistake are its variants.

A mistake of the reductions or the loss changes the gradient and leaves the reported loss right, unless the sentence
says that the loss is another one. A mistake of the forward pass changes everything that follows from it.
"""
