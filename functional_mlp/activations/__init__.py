"""Activation functions, each beside its hand-derived vector-Jacobian product (VJP).

For a = f(z) the VJP maps the cotangent ct_a = dLoss/da to ct_z = dLoss/dz. All functions work on arrays of any shape
with the units on the last axis (n, fan_out); only softmax mixes the units of a row. They are written so that neither
the value nor the derivative loses digits where the function saturates: no 1 - a, no 1 - a**2, no exponential of a
positive number, no exponential of a rounded product. The identity used stands beside each formula;
docs/reference/derivations.md derives them.

At a kink the derivative is that of the flat side (of relu, leaky_relu, prelu, elu and selu: of the left side) unless
`at_zero`, `at_six`, `at_low` or `at_high` says otherwise; -0.0 is at a kink at 0 too. float16 and bfloat16 are computed
in float32 and rounded once. NaN stays NaN.

The formulas serve JAX's arrays and NumPy's: `xp` is the library of the array that they are given. They do not register
derivatives with JAX: differentiating them with `jax.grad` differentiates the formula of the value, which is what the
tests compare the hand-written VJPs with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
