"""Where a correct program rounds, and what it adds up there: one walk through both passes of a case, in NumPy.

The amplitudes are absolute numbers: those of `operations.py` times the unit roundoffs of the declared precision, plus
what underflow may take.
"""

import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.activations import Activation
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.noise.elementary import elementary, kind
from functional_mlp.oracle.noise.losses import End, Ending, ending_of, loss_end
from functional_mlp.oracle.noise.operations import exponential, softmax_pulled
from functional_mlp.oracle.noise.precision import FORMATS, Format, Precision
from functional_mlp.oracle.noise.sums import SumSizes, sum_sizes
from functional_mlp.oracle.truth import Solution, is_fused


class RoundingSite(NamedTuple):
    """An array of results that a program rounds.

    Attributes:
        amplitude: of the noise, in absolute numbers, of the array's shape.
        keys: (2, size) uint32: of the entry alone; equal for numbers that are equal to `ALIKE` bits.
        salt: of the array, uint32.
    """

    amplitude: Array
    keys: NDArray[np.uint32]
    salt: int


ALIKE = 5  # bits
OF_ALL = 0.25  # of an amplitude: what a whole array shares
_GOLDEN, _ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x632BE59BD9B4E019)


def site(name: str, value: Array, amplitude: Array) -> RoundingSite:
    """The site of an array of results; arrays of different names have different keys for equal numbers."""
    bits = np.ascontiguousarray(value + 0.0).ravel().view(np.uint64)  # + 0.0: no negative zero
    salt = np.array(zlib.crc32(name.encode()), np.uint64)
    drop = np.uint64(53 - ALIKE)
    leading = (bits + (np.uint64(1) << (drop - np.uint64(1)))) >> drop
    keys = np.empty((2, bits.size), np.uint32)
    for row, key in zip(keys, (np.arange(bits.size, dtype=np.uint64), leading), strict=True):
        row[:] = key * _GOLDEN + salt * _ODD >> np.uint64(32)
    return RoundingSite(np.ascontiguousarray(amplitude), keys, int(salt))


class Survey(NamedTuple):
    """The true pass with the sizes of everything that is added up in it.

    Attributes:
        sites: where it rounds, by name, exact operations left out: "weights[l]", "bias[l]", "inputs", "targets",
            "ct_outputs" where a program stores or multiplies the numbers of the case in a narrower format; then
            "z[l]", "a[l]", "end" (the cotangent that the loss hands over), "delta[l]" (ct_z), and "before[l]" (ct_a of
            the layer before, or ct_inputs).
        ct_a: cotangents of the activations per layer.
        forward, backward, weights, bias: `SumSizes` of z, of ct_a of the layer before, of ct_W and of ct_b.
        ending: the end of the network as the loss sees it; None for a bare cotangent.
        end: what the loss rounds; None likewise.
        coefficients: of the loss, (n, 1).
        divisor: of the means in the loss: sum of the sample weights, times outputs.
    """

    sites: dict[str, RoundingSite]
    ct_a: tuple[Array, ...]
    forward: tuple[SumSizes, ...]
    backward: tuple[SumSizes, ...]
    weights: tuple[SumSizes, ...]
    bias: tuple[SumSizes, ...]
    ending: Ending | None
    end: End | None
    coefficients: Array
    divisor: float

    def amplitude(self, name: str) -> Any:
        """How much the operations of a site round; 0 for those that are exact."""
        return _amplitude(self.sites, name)


class _Walk(NamedTuple):
    """The true pass that is walked through, and the sites found so far, which are added to."""

    case: Case
    solution: Solution
    precision: Precision
    sites: dict[str, RoundingSite]

    @property
    def factors(self) -> float:
        """What factors of matrix products are rounded by, relative to them; 0 where they are multiplied as stored."""
        storage, products = self.precision.storage, self.precision.products
        return products.unit if products.unit > storage.unit else 0.0

    @property
    def ones(self) -> Array:
        """(n, 1): what a bias is multiplied with."""
        return np.ones((len(self.case.inputs), 1))

    def summed(self, sizes: SumSizes, terms: int) -> Array:
        """Amplitude of sums of so many terms that are then stored."""
        storage, accumulation = self.precision.storage, self.precision.accumulation
        underflow = storage.smallest + accumulation.smallest * np.sqrt(terms)
        return accumulation.unit * sizes.random + storage.unit * np.abs(sizes.total) + underflow

    def rounds(self, name: str, value: Array, *amplitudes: Array | None) -> None:
        """Notes a site with the sum of these amplitudes; none if the operation is exact."""
        parts = [part for part in amplitudes if part is not None]
        if parts:
            self.sites[name] = site(name, value, np.add.reduce(parts))


def survey(case: Case, solution: Solution, precision: Precision) -> Survey:
    """Walks through both passes once, in NumPy, and notes what each operation may round."""
    walk = _Walk(case, solution, precision, {})
    walk.sites.update(_reads(case, precision.storage, walk.factors))
    forward = _forward_sums(walk)
    ending, end, coefficients, divisor, ct = _end_of_loss(walk)
    ct_a, backward, weights, bias = _backward_sums(walk, ct)
    return Survey(walk.sites, ct_a, forward, backward, weights, bias, ending, end, coefficients, divisor)


def _forward_sums(walk: _Walk) -> tuple[SumSizes, ...]:
    """The sums of the forward pass, layer by layer; its sites are noted."""
    case, solution, storage = walk.case, walk.solution, walk.precision.storage
    before, last = (case.inputs, *solution.activations[:-1]), len(case.params) - 1
    sums = []
    for layer, (activation, (weights, bias)) in enumerate(zip(case.network.activations, case.params, strict=True)):
        z, a, left, right = solution.pre_activations[layer], solution.activations[layer], before[layer], weights
        if bias is not None:
            left, right = np.hstack([walk.ones, left]), np.vstack([bias, weights])
        sums.append(sum_sizes(left, right, walk.precision.accumulation.unit))
        # the product may be stored before the bias is added
        stored = None if bias is None else storage.unit * np.abs(z - bias)
        walk.rounds(f"z[{layer}]", z, walk.summed(sums[-1], left.shape[1]), stored)
        multiplied = walk.factors * np.abs(a) if walk.factors and layer < last else None
        walk.rounds(f"a[{layer}]", a, _value_amplitude(activation, z, a, storage), multiplied)
    return tuple(sums)


def _end_of_loss(walk: _Walk) -> tuple[Ending | None, End | None, Array, float, Array]:
    """The end as the loss sees it, what it rounds, its coefficients and divisor, the cotangent that it hands over.

    Its site is noted.
    """
    case, solution, storage = walk.case, walk.solution, walk.precision.storage
    if case.loss is None or case.targets is None:
        return None, None, walk.ones, 1.0, np.asarray(case.ct_outputs)
    coefficients, divisor = _coefficients(case)
    fused = is_fused(case)
    computed = case.loss.on_logits(case.network.activations[-1]) or case.loss
    seen = solution.pre_activations[-1] if fused else solution.outputs
    ending = ending_of(case.loss, computed, seen, case.targets, float(np.abs(coefficients).max()), storage)
    end = loss_end(ending, coefficients)
    ct = solution.deltas[-1] if fused else end.ct
    # the divisor is one number, which a whole array shares
    of_divisor = np.abs(ct) * (divisor_rounding(case, walk.precision.accumulation.unit) / OF_ALL)
    underflow = storage.smallest * scaled_underflow(coefficients, ct)
    walk.rounds("end", ct, storage.unit * end.cotangent + underflow, of_divisor)
    return ending, end, coefficients, divisor, ct


def _backward_sums(walk: _Walk, ct: Array) -> tuple[tuple[Any, ...], ...]:
    """ct_a per layer, and the sums of ct_a of the layer before, of ct_W and of ct_b; the sites are noted.

    `stray` is how far the noise so far may have moved the cotangent: where that is more than the cotangent itself, as
    where symmetry makes a true gradient 0, it is what rounds.
    """
    case, solution, ones, factors = walk.case, walk.solution, walk.ones, walk.factors
    storage, unit = walk.precision.storage, walk.precision.accumulation.unit
    before, last = (case.inputs, *solution.activations[:-1]), len(case.params) - 1
    ct_a, stray = [ct], _amplitude(walk.sites, "end")
    backward, weight_sums, bias_sums = [], [], []
    for layer in reversed(range(last + 1)):
        delta, activation, z = solution.deltas[layer], case.network.activations[layer], solution.pre_activations[layer]
        a, weights, through = solution.activations[layer], case.params[layer].weights, None
        if not (layer == last and is_fused(case)):
            through = _derivative_amplitude(activation, z, a, _at_least(ct_a[-1], stray), delta, storage)
            stray = _pulled_stray(activation, z, a, stray)
        walk.rounds(f"delta[{layer}]", delta, through, factors * np.abs(delta) if factors else None)
        stray = np.hypot(stray, _amplitude(walk.sites, f"delta[{layer}]"))
        moved = _at_least(delta, stray)
        weight_sums.append(_sizes(before[layer].T, moved, before[layer].T, delta, unit))
        bias_sums.append(_sizes(ones.T, moved, ones.T, delta, unit))
        backward.append(_sizes(moved, weights.T, delta, weights.T, unit))
        walk.rounds(f"before[{layer}]", backward[-1].total, walk.summed(backward[-1], delta.shape[1]))
        ct_a.append(backward[-1].total)
        stray = np.hypot(np.sqrt(stray**2 @ (weights**2).T), _amplitude(walk.sites, f"before[{layer}]"))
    return tuple(tuple(reversed(part)) for part in (ct_a[:-1], backward, weight_sums, bias_sums))


def _amplitude(sites: dict[str, RoundingSite], name: str) -> Any:
    """How much the operations of a site round; 0 for those that are exact."""
    return sites[name].amplitude if name in sites else 0.0


def _at_least(value: Array, stray: Any) -> Array:
    """The value, or what the noise makes of it where that is more."""
    return np.where(np.abs(value) < stray, stray, value)


def _pulled_stray(activation: Activation, z: Array, a: Array, stray: Any) -> Any:
    """The root mean square of ct_z that a ct_a of independent entries of this size makes."""
    if kind(activation) == "softmax":
        return a * np.sqrt(stray**2 + ((a * stray) ** 2).sum(axis=-1, keepdims=True))
    return np.abs(elementary(activation).slope(z, a)) * stray


def _sizes(left: Array, right: Array, true_left: Array, true_right: Array, unit: float) -> SumSizes:
    """The sizes of left @ right, with the total of the true factors."""
    sizes = sum_sizes(left, right, unit)
    moved = not (np.array_equal(left, true_left) and np.array_equal(right, true_right))
    return sizes._replace(total=true_left @ true_right) if moved else sizes


def scaled_underflow(coefficients: Array, values: Array) -> Array:
    """What underflow takes of coefficient * term = value, in units of the smallest number, per entry.

    The term may underflow before it is multiplied, and the coefficient itself may: then it has few digits, or none.
    """
    c = np.abs(coefficients)
    return 3 * np.maximum(1.0, c) + np.abs(values) / np.where(c > 0, c, 1.0)


def _value_amplitude(activation: Activation, z: Array, a: Array, storage: Format) -> Array | None:
    if kind(activation) == "softmax":
        return storage.unit * (a * exponential(z)) + _tail(storage)
    entry = elementary(activation)
    if entry.exact:
        return None
    return storage.unit * entry.value(z, a) + _tail(storage, z if entry.times_z else None)


def _derivative_amplitude(
    activation: Activation, z: Array, a: Array, ct_a: Array, delta: Array, storage: Format
) -> Array | None:
    if kind(activation) == "softmax":
        units, tail = softmax_pulled(a, exponential(z), ct_a), _tail(storage)
    else:
        entry = elementary(activation)
        if entry.exact:
            return None
        units, tail = np.abs(ct_a) * entry.derivative(z, a), _tail(storage, z if entry.times_z else None)
    tail = np.abs(ct_a) * tail
    return storage.unit * (units + 2 * np.abs(delta)) + tail + 2 * storage.smallest


def _tail(storage: Format, z: Array | None = None) -> Any:
    """What is lost of a small a or f'(z): a naive sigmoid is 0 where exp(-z) overflows, and silu multiplies it by z."""
    lost = max(storage.smallest, 1 / storage.largest)
    return lost if z is None else lost * (1 + np.abs(z))


def _coefficients(case: Case) -> tuple[Array, float]:
    """What the loss multiplies the terms of each sample with (n, 1), and the divisor that is part of it."""
    loss, outputs = case.loss, case.network.sizes[-1]
    assert loss is not None
    weights = _sample_weights(case)
    totals = {"sum": 1, "mean": _weights_in_mean(case).sum(), "batch_mean": max(1, np.count_nonzero(weights))}
    divisor = (outputs if loss.over_outputs == "mean" else 1) * totals[loss.over_samples]
    return (loss.scale / (divisor or 1) * weights)[:, None], float(divisor)


def _sample_weights(case: Case) -> Array:
    """Of every sample (n,); 0 for those that are ignored."""
    assert case.loss is not None
    weights = np.ones(len(case.inputs)) if case.sample_weights is None else case.sample_weights
    counted = case.loss.counted(case.targets)
    return weights if counted is None else weights * counted


def _weights_in_mean(case: Case) -> Array:
    """What the divisor of a mean is the sum of (n,): sample weights, times the weights of the samples' classes."""
    assert case.loss is not None
    assert case.targets is not None
    classes = case.loss.class_weights
    return _sample_weights(case) * (1.0 if classes is None else case.targets @ np.array(classes))


def penalised_parameters(case: Case) -> Array:
    """Every parameter that the penalties cover, in one row."""
    loss = case.loss
    if loss is None or not loss.penalises:
        return np.zeros(0)
    biases = [layer.bias for layer in case.params if loss.l2_on_bias and layer.bias is not None]
    return np.concatenate([leaf.ravel() for leaf in [*(layer.weights for layer in case.params), *biases]])


def penalty_of(case: Case) -> float:
    """The penalties of a case, a float64."""
    if case.loss is None:
        return 0.0
    penalised = penalised_parameters(case)
    return 0.5 * case.loss.l2 * float(np.sum(penalised**2)) + case.loss.l1 * float(np.sum(np.abs(penalised)))


def divisor_rounding(case: Case, unit: float) -> float:
    """By how much, relative to it, the sum of the weights rounds that a mean divides by."""
    if case.loss is None or case.loss.over_samples != "mean":
        return 0.0
    if case.sample_weights is None and case.loss.class_weights is None:
        return 0.0
    sizes = sum_sizes(np.ones((1, len(case.inputs))), _weights_in_mean(case)[:, None], unit)
    return unit * float(sizes.random[0, 0] / sizes.total[0, 0]) if sizes.total[0, 0] else 0.0


def _reads(case: Case, storage: Format, factors: float) -> dict[str, RoundingSite]:
    """Sites of the case's own numbers, where the program holds or multiplies them in a narrower format."""
    rounding = storage.unit if FORMATS[case.dtype].unit < storage.unit else 0.0
    read: dict[str, tuple[Array | None, float]] = {"inputs": (case.inputs, rounding + factors)}
    for layer, (weights, bias) in enumerate(case.params):
        read |= {f"weights[{layer}]": (weights, rounding + factors), f"bias[{layer}]": (bias, rounding)}
    read |= {"targets": (case.targets, rounding), "ct_outputs": (case.ct_outputs, rounding)}
    smallest = storage.smallest if rounding else 0.0
    return {
        name: site(name, array, unit * np.abs(array) + smallest)
        for name, (array, unit) in read.items()
        if array is not None and unit > 0
    }
