"""Asking the oracle about a function: it is called with probe cases, and watched as a program (`probe.py`).

What is found has one of these ids, and is WRONG:

    raises            an exception instead of gradients
    returns           something that holds no gradients
    mutates           the arguments are changed
    accumulates       gradients of earlier calls are added
    nondeterministic  the same arguments give another result, beyond the noise of the precision
    stale-state       the result for a batch depends on the batch before it
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.checking import formerly_by_place
from functional_mlp.oracle.probing.asking import Asking, asking_of, found_out, note_on, note_on_dtype, other_reading
from functional_mlp.oracle.probing.call import Ask, GradientFunction, beginning_with, call_function, restricted
from functional_mlp.oracle.probing.combine import combined_report, left_out
from functional_mlp.oracle.probing.probe import probe_code
from functional_mlp.oracle.probing.probe_cases import Activations, draw_probe_cases, probe_network
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.verdict import is_wrong


@formerly_by_place("precision", "seed")
def check_function(
    fn: GradientFunction,
    network: Network | Activations,
    loss: Loss | None,
    *,
    precision: str | None = None,
    seed: int = 0,
    targets: str | None = None,
    layout: Any = None,
    bias: bool | None = None,
    only: Sequence[str] = (),
) -> Report:
    """Judges a function that computes gradients: by its numbers for probe cases, and by what it does as a program.

    Args:
        fn: called as fn(params, inputs, targets) with fresh, writable NumPy arrays: params, a list of (weights
            (fan_in, fan_out), bias (fan_out,)) per layer; inputs (n, n_0); targets (n, n_L), or the cotangent of the
            outputs if `loss` is None. It returns what `check` takes as gradients; or (loss, gradients); or a
            `Gradients`, whose loss, outputs, deltas and ct_inputs are judged too. If it raises, or returns other
            shapes, the other usual layouts are tried, as far as `layout` leaves them open; a note says which it takes.
        network: a `functional_mlp.Network`; or activations, as `probe_cases.probe_network` takes them, which chooses
            distinct sizes for them: the function must then go by the shapes of its arguments.
        loss: which the function differentiates, penalty included; None for a bare vector-Jacobian product.
        precision: what the function computes in, as in `check`; the arrays that it gets are of the format that this
            stores. None: float64, or the dtype of what it returns for float64 arrays, if that is narrower.
        seed: of the probe cases.
        targets: which ones the function is made for, where outputs are classes: "one_hot" rows (the default, also 0 and
            1 for losses of bits), "soft" rows that sum to 1, "any" numbers; or "labels", integers (n,). Of others it is
            only noted whether they are right too.
        layout: how arguments are handed over and gradients come back: an `oracle.Layout`, a mapping of its fields, or
            "columns", the usual one of samples as columns; None: found out.
        bias: False for networks without biases; None: also if no gradient of a bias comes back.
        only: what is judged of the parameters, such as ("weights",), where not all gradients are computed; () for all.

    Returns:
        A report. Its leaves have the name of their case as `group`; the ids of its findings stand at the top of this
        module. At a kink every usual convention is accepted, and named in a note if it is not the network's own. That
        arrays returned earlier are overwritten by a later call is said in a note too: the gradients are right.

    Raises:
        TypeError: if fn is not callable, and for other arguments of the wrong type.
        ValueError: for an unknown activation or precision, a negative seed, or a loss that is inadmissible.

    Example:
        >>> import functional_mlp as fm
        >>> def gradients(params, inputs, targets):
        ...     [(weights, bias)] = params
        ...     ct_z = 2 * (inputs @ weights + bias - targets)
        ...     return [(inputs.T @ ct_z, ct_z.mean(axis=0))]
        >>> report = check_function(gradients, fm.Network((4, 5), "identity"), fm.Loss("squared_error"))
        >>> report.verdict
        <Verdict.WRONG: 'wrong'>
        >>> {leaf.path for leaf in report.leaves if leaf.verdict == "wrong"}
        {'params[0].bias'}
        >>> {leaf.group for leaf in report.leaves if leaf.verdict == "consistent" and leaf.path == "params[0].bias"}
        {'one sample'}
    """
    if not callable(fn):
        raise TypeError(f"expected fn to be a function of params, inputs and targets, got {type(fn).__name__}")
    network = network if isinstance(network, Network) else probe_network(network)
    ask: Ask = partial(call_function, fn)
    asked = asking_of(targets, layout, bias, only)

    def drawn(how: Asking, precision: str = precision or "float64") -> tuple[Case, ...]:
        return draw_probe_cases(network, loss, precision, seed, how)

    cases = drawn(asked)
    first = restricted(ask, asked.only)(cases[0])
    way = found_out(ask, cases[0], first, asked, drawn, precision or "float64")
    found, notes = way.asking, note_on(way, asked)
    if found == asked:
        ask = beginning_with(first, ask)
    else:
        cases = drawn(found)
    probed = probe_code(ask, cases, precision or "float64", precision, asking=found)
    if any(is_wrong(probe.leaves) for probe in probed):
        notes += other_reading(ask, found, cases[0], precision or "float64")
    narrower = next((probe.call.dtype for probe in probed if probe.call is not None), "float64")
    if precision is not None or narrower == "float64":
        return combined_report(probed, precision or "float64", (*notes, *left_out(probed)), cases=cases)
    cases = drawn(found, narrower)
    notes += (note_on_dtype(narrower),)
    probed = probe_code(ask, cases, narrower, narrower, asking=found)
    return combined_report(probed, narrower, (*notes, *left_out(probed)), cases=cases)
