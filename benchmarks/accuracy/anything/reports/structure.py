"""Reports of wrong mathematics: terms, masks, axes, rows and steps; most are mistakes of the trial."""

import math

import jax
import jax.numpy as jnp

from benchmarks.accuracy.anything.implementations.jax_functions import pulled_back
from benchmarks.accuracy.anything.implementations.registry import fused
from benchmarks.accuracy.anything.mistakes import MISTAKES
from benchmarks.accuracy.anything.mistakes.registry import by_kernel
from benchmarks.accuracy.anything.operations import OPERATIONS, Operation, Question, Setting
from benchmarks.accuracy.anything.operations.attention import heads
from benchmarks.accuracy.anything.reports.registry import Gradients, Report


def of_mistake(name: str, field: str, mistake: str, what: str, dtype: str = "float32") -> Report:
    """A report whose mathematics is a mistake of the trial."""
    made = MISTAKES[mistake]
    operation = OPERATIONS[made.operation]

    def question() -> Question:
        return operation.question(Setting("small", dtype))

    def mended(asked: Question) -> Gradients:
        return by_kernel(operation.function, asked, dtype)

    reported = lambda asked: made.gradients(asked, dtype)  # noqa: E731
    return Report(name, field, made.source, what, dtype, fused(dtype), operation, question, reported, mended)


def attention(q, k, v):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
    probabilities = jax.nn.softmax(scores)
    return jnp.einsum("bhqk,bhkd->bhqd", probabilities, v)


ATTENTION = Operation("attention", "attention", attention, heads)


def _blocks_of_causal(asked: Question, dtype: str = "float32") -> Gradients:
    """The later keys' blocks are skipped on the way back, with the normaliser of all keys."""

    def theirs(q, k, v):
        scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
        visible = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        probabilities = jax.nn.softmax(scores)
        kept = jnp.where(visible, probabilities, jax.lax.stop_gradient(probabilities))
        mixed = jnp.where(visible, kept, 0)
        value = jnp.einsum("bhqk,bhkd->bhqd", mixed, v)
        return value

    return pulled_back(theirs, asked, dtype, compiled=True)


STRUCTURAL = [
    of_mistake(
        "layer norm of three axes",
        "normalisation",
        "layer_norm_of_sequence/two_dimensional",
        "the backward pass takes the input for two-dimensional, and normalises over sequence and features",
    ),
    of_mistake(
        "last block of rows",
        "normalisation",
        "layer_norm/last_block_lost",
        "the buffer of partial sums is rounded down: the last block of rows is missing in weight and bias",
    ),
    of_mistake(
        "norm before a residual",
        "normalisation",
        "residual_rms_norm/added_before_the_norm",
        "the residual's gradient is added before the norm's backward pass instead of after it",
        "bfloat16",
    ),
    of_mistake(
        "batch norm in inference",
        "normalisation",
        "batch_norm_inference/as_in_training",
        "with stored statistics the gradient is that of the batch's own",
    ),
    of_mistake(
        "root mean square ignored",
        "normalisation",
        "rms_norm/root_path_missing",
        "the root mean square is taken for a constant",
    ),
    of_mistake(
        "dropout drawn again",
        "normalisation",
        "dropout_add/another_mask",
        "the backward pass draws its dropout mask anew, and need not get the same",
    ),
    Report(
        "attention without a mask",
        "attention",
        "https://github.com/triton-lang/triton/issues/5660",
        "without a causal mask the backward pass still visits the blocks of a causal one",
        "float32",
        "float32",
        ATTENTION,
        lambda: ATTENTION.question(Setting("small", "float32")),
        _blocks_of_causal,
        lambda asked: pulled_back(attention, asked, "float32", compiled=True),
    ),
    of_mistake(
        "padding under a causal mask",
        "attention",
        "padded_attention/padding_not_hidden",
        "the mask of the sequence's end is not applied on the way back",
        "bfloat16",
    ),
    of_mistake(
        "heads of a group",
        "attention",
        "grouped_query_attention/first_head_alone",
        "the keys' gradients of a group of query heads are written with the stride of the query heads",
    ),
    of_mistake(
        "convolution's weight averaged",
        "convolution",
        "conv2d/weight_averaged",
        "the weight's gradient is divided by batch times height times width",
    ),
    of_mistake(
        "output padding",
        "convolution",
        "conv2d/output_padding_forgotten",
        "where the stride does not fit, the gradient of the input is shifted: output padding is forgotten",
    ),
    of_mistake(
        "zoneout's mask",
        "recurrence",
        "rnn_with_zoneout/mask_of_the_first_step",
        "the mask of the first step is used for all steps on the way back",
    ),
    of_mistake(
        "hidden state zeroed",
        "recurrence",
        "lstm/hidden_path_missing",
        "the hidden state's gradient is set to 0 between two steps",
    ),
    of_mistake(
        "steps in forward order",
        "recurrence",
        "linear_recurrence/decay_of_the_step_before",
        "the gradient of a loop combines its steps in forward order",
    ),
    of_mistake(
        "SwiGLU's gradients exchanged",
        "gated unit",
        "swiglu/gradients_exchanged",
        "the gradients of the two branches are stored in each other's place",
        "bfloat16",
    ),
    of_mistake(
        "padding and smoothing",
        "loss",
        "cross_entropy_with_padding/padding_counts",
        "rows whose label is ignored count in part of the loss",
    ),
]
