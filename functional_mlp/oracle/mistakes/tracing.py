"""What a program computes on its way back, stage by stage, with its mistakes or without."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.backward_pass import Stages, already_through
from functional_mlp.oracle.case import Layer
from functional_mlp.oracle.mistakes.injection import Slip, with_mistakes
from functional_mlp.oracle.mistakes.program import Prepared, Program, run
from functional_mlp.oracle.truth import computing


class Trace(NamedTuple):
    """What a program computes; per layer, from the first, but for the last two.

    Attributes:
        inputs: what each layer is given (n, fan_in), as its sum over samples takes it.
        pre_activations, activations: (n, fan_out), forward.
        weights: (fan_in, fan_out), as they are when the cotangent is sent back.
        ct_a: the cotangents (n, fan_out) that come to the layer; in the last layer None where loss and activation are
            fused.
        ct_z: what these become on the way through the activation.
        sums: (weights, bias) gradients as the sums over samples give them.
        grads: the same as they are handed back, with the penalty.
        outputs: of the forward pass (n, n_L).
    """

    inputs: tuple[np.ndarray, ...]
    pre_activations: tuple[np.ndarray, ...]
    activations: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    ct_a: tuple[np.ndarray | None, ...]
    ct_z: tuple[np.ndarray, ...]
    sums: tuple[Layer, ...]
    grads: tuple[Layer, ...]
    outputs: np.ndarray


def trace(prepared: Prepared, slips: Sequence[Slip] = ()) -> Trace:
    """What the program of a case with these mistakes computes on its way back.

    Args:
        prepared: the case, made ready; its rule tells what layers that are updated early become.
        slips: the mistakes; () for the right program.

    Raises:
        TypeError, ValueError: as `plant`.
    """
    seen: dict[tuple[int, str], tuple[Any, Any, Any]] = {}
    with computing(prepared.case.network), np.errstate(all="ignore"):
        program = with_mistakes(prepared, slips)
        recorded = tuple(_recorded(stages, layer, seen) for layer, stages in enumerate(program.stages))
        pulled = run(program._replace(stages=recorded))
    return _traced(program, seen, tuple(Layer(*layer) for layer in pulled.params))  # type: ignore[arg-type]


def _recorded(stages: Any, layer: int, seen: dict[tuple[int, str], tuple[Any, Any, Any]]) -> Any:
    """The stages of a layer, which note what they are given and what they return."""

    def noting(name: str) -> Callable[[Any, Any], Any]:
        def stage(view: Any, ct: Any) -> Any:
            result = getattr(stages, name)(view, ct)
            seen[layer, name] = view, ct, result
            return result

        return stage

    return stages._replace(**{name: noting(name) for name in Stages._fields})


def _traced(program: Program, seen: dict[tuple[int, str], tuple[Any, Any, Any]], grads: tuple[Layer, ...]) -> Trace:
    layers = range(len(program.params))
    fused = program.stages[-1].through_activation is already_through
    ct_a: list[Any] = [seen[layer, "through_activation"][1] for layer in layers]
    return Trace(
        inputs=program.inputs_of_layers,
        pre_activations=program.tape.pre_activations,
        activations=program.tape.activations,
        weights=tuple(seen[layer, "previous_cotangent"][0].weights for layer in layers),
        ct_a=(*ct_a[:-1], None if fused else ct_a[-1]),
        ct_z=tuple(seen[layer, "through_activation"][2] for layer in layers),
        sums=tuple(Layer(seen[layer, "weights_cotangent"][2], seen[layer, "bias_cotangent"][2]) for layer in layers),
        grads=grads,
        outputs=program.tape.activations[-1],
    )
