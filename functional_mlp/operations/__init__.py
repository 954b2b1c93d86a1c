"""Operations of today's networks beside the MLP, each a few plain lines: references for `oracle.check_vjp`.

`layer_norm(x, weight, bias)` and its like are the definitions, differentiated by JAX wherever a gradient is asked for.
Of those that MLP blocks are made of (layer_norm, rms_norm, swiglu, geglu, residual, dropout) the VJP stands beside it,
derived by hand (docs/reference/derivations.md): `layer_norm_forward` gives the outputs and residuals, and
`layer_norm_backward(residuals, ct_y)` reads nothing but these.

All are pure, work under `jit`, `vmap` and `grad`, and take the four floating formats: 16-bit numbers are computed in
float32 and rounded once. Dimension letters: units, d, h sizes of the last axis; channels stand before the spatial axes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
