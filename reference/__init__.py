"""The published systems again, in plain NumPy, and a certified referee: what the JAX code is compared with.

Every system is written from its mathematics, twice: `published`, with the quirks of the published text, each
named where it stands; and `corrected`, with the true gradient. Arrays are float64 (float32 where the text
prints float32).

    reference.published.circles       the full-batch circles classifier and its printed trajectory
    reference.published.moons         the one-sample-at-a-time moons classifier
    reference.published.three_phase   the network trained layer by layer, in both readings of its text
    reference.published.himmelblau    descent on Himmelblau's function

    reference.exact                   any network and loss in ball arithmetic, every number correctly rounded
    reference.training                several steps of an update rule, likewise
    reference.operations              norms, gated blocks, residual connection and dropout, likewise
    reference.plain                   the same as textbooks write it, in whatever arithmetic is asked for

It refuses one thing: to import `functional_mlp` or JAX. A reference that shares code with what it judges
shares its mistakes as well. It is not written to be fast, except `reference.published.moons`, which is also the NumPy
peer of a benchmark.
"""
