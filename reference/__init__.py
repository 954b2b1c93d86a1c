"""A certified referee, and the same as textbooks write it: what the JAX code is compared with.

    reference.exact         any network and loss in ball arithmetic, every number correctly rounded
    reference.training      several steps of an update rule, likewise
    reference.operations    norms, gated blocks, residual connection and dropout, likewise
    reference.plain         the same as textbooks write it, in whatever arithmetic is asked for

The published systems in plain NumPy are `functional_mlp.experiments.published`, for experiments run from a wheel too.

It refuses one thing: to import `functional_mlp` or JAX. A reference that shares code with what it judges shares its
mistakes as well. It is not written to be fast.
"""
