"""The published systems again, in plain NumPy; they import nothing of the package, and no JAX.

Every system is written from its mathematics, twice: `published`, with the quirks of the published text, each named
where it stands; and `corrected`, with the true gradient. Arrays are float64 (float32 where the text prints float32).

    circles       the full-batch circles classifier and its printed trajectory
    moons         the one-sample-at-a-time moons classifier, which is also the NumPy peer of a benchmark
    three_phase   the network trained layer by layer, in both readings of its text
    himmelblau    descent on Himmelblau's function
"""
