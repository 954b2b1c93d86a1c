"""What is asked of a function: every usual form is taken, and what does not fit is refused in a sentence."""

from collections import namedtuple
from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functional_mlp import oracle
from functional_mlp.oracle.traced.question import question_of
from functional_mlp.oracle.truth import float64_on_cpu
from functional_mlp.oracle.verdict import Misfit

X, S, CT = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 4.0]), np.ones((2, 3))
Params = namedtuple("Params", "w b")


def scaled(x, scale):
    return x * scale


def scalar(x):
    return (x**2).sum()


def of_tree(params, x):
    return {"out": x @ params["w"] + params["b"], "count": jnp.argmax(x), "loss": params["b"].sum()}


TREE = {"w": np.ones((3, 2)), "b": np.zeros(2)}
TREE_CT = {"out": np.ones((2, 2)), "count": None, "loss": None}


def test_a_question_is_flattened():
    question = question_of(scaled, (X, S), (CT * S, (CT * X).sum(0)), CT)
    assert question.words == "scaled(x, scale)"
    assert question.paths == ("x", "scale")
    assert question.outputs == ("outputs",)
    assert question.precision.name == "float64"
    np.testing.assert_array_equal(question.given[1].values, X.sum(0))
    with float64_on_cpu():
        np.testing.assert_array_equal(jax.core.eval_jaxpr(question.forward.jaxpr, (), *question.operands)[0], X * S)


@pytest.mark.parametrize(
    ("gradients", "wrt", "paths"),
    [
        ((X, S), None, ["x", "scale"]),
        ([X, S], None, ["x", "scale"]),
        ((X, None), None, ["x"]),
        ({"scale": S, "x": X}, None, ["x", "scale"]),
        ((X, S.tolist()), None, ["x", "scale"]),
        ({"scale": S, "x": None}, None, ["scale"]),
        (S, "scale", ["scale"]),
        (S, 1, ["scale"]),
        (S, -1, ["scale"]),
        ((S,), ("scale",), ["scale"]),
        ((S, X), (1, 0), ["x", "scale"]),
        ((X, S), 1, ["scale"]),
        ([X, S], ("x",), ["x"]),
    ],
)
def test_gradients_come_in_every_usual_form(gradients, wrt, paths):
    assert list(question_of(scaled, (X, S), gradients, CT, wrt=wrt).paths) == paths


@pytest.mark.parametrize(
    ("arguments", "gradients", "paths"),
    [
        (({"w": X, "b": S},), {"w": X, "b": S}, ["tree.b", "tree.w"]),
        (({"w": X, "b": S},), ({"w": X, "b": S},), ["tree.b", "tree.w"]),
        ((Params(X, S),), Params(X, S), ["tree.w", "tree.b"]),
        ((Params(X, S),), Params(None, S), ["tree.b"]),
        ((Params(X, S),), {"w": X, "b": S}, ["tree.w", "tree.b"]),
        (([X, (S, S)],), [X, [S, None]], ["tree[0]", "tree[1][0]"]),
        (({"of x": X},), {"of x": X}, ["tree['of x']"]),
        (([X],), [X], ["tree[0]"]),
    ],
)
def test_trees_have_paths_and_gradients_of_them_fit(arguments, gradients, paths):
    def function(tree):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(tree))

    assert list(question_of(function, arguments, gradients).paths) == paths


def test_one_argument_may_come_bare_and_lists_of_numbers_are_arrays():
    for argument in (X, X.tolist(), jnp.asarray(X)):
        question = question_of(scalar, argument, 2 * X)
        assert question.operands[0].shape == X.shape
        assert question.cts == (1.0,)
    assert question_of(lambda x: x**2, 3.0, 6.0).paths == ("x",)


def test_names_of_arguments_that_a_function_does_not_tell():
    assert question_of(lambda *xs: xs[0] * xs[1], (X, S), (X, S), CT).paths == ("xs[0]", "xs[1]")
    assert question_of(lambda outputs: outputs.sum(), (X,), X).paths == ("arguments[0]",)
    assert question_of(np.add if False else jnp.multiply, (X, X), (X, X), CT).words.startswith("multiply(")
    assert question_of(partial(scaled, scale=S), (X,), X, CT).paths == ("x",)


def test_integers_booleans_and_keys_are_constants_and_may_be_used_as_sizes():
    def function(x, groups, mask, key, kind):
        rows = x.reshape(groups, -1)
        chosen = jax.random.bernoulli(key, 0.5, x.shape)
        assert kind == "sum"
        return jnp.where(mask & chosen, x, 0).sum() + rows.sum()

    key = jax.random.key(0)
    for gradients in ((X,), (X, None, None, None, None), X):
        assert question_of(function, (X, 3, X > 1, key, "sum"), gradients).paths == ("x",)
    from_jax = jax.vjp(lambda x, labels: x[labels].sum(), jnp.asarray(X), jnp.array([0, 1]))[1](jnp.ones(()))
    assert question_of(lambda x, labels: x[labels].sum(), (X, np.array([0, 1])), from_jax).paths == ("x",)


def test_outputs_and_cotangents_of_trees():
    question = question_of(
        of_tree, (TREE, X), (None, X), TREE_CT, outputs={"out": CT[:, :2], "loss": None, "count": None}
    )
    assert question.outputs == ("outputs.loss", "outputs.out")
    assert [ct.tolist() for ct in question.cts] == [0.0, [[1, 1], [1, 1]]]
    assert list(question.given_outputs) == ["outputs.out"]


def test_the_precision_is_that_of_the_gradients_unless_declared():
    narrow = S.astype(ml_dtypes.bfloat16)
    assert question_of(scaled, (X, S), (X, narrow), CT).precision.name == "bfloat16"
    assert (
        question_of(scaled, (X, S), (X, narrow), CT, precision="bfloat16/float32").precision.name == "bfloat16/float32"
    )


def test_a_gradient_of_another_shape_is_a_wrong_answer_and_no_bad_input():
    [misfit] = question_of(scalar, (X,), (X.T,)).given
    assert isinstance(misfit, Misfit)
    assert "expected shape (2, 3), got (3, 2): the transpose" in misfit.sentence


TREES = st.recursive(
    st.integers(1, 3).map(np.ones),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from(["w", "b", "of x"]), inner, min_size=1)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


@given(TREES, st.integers(0, 63))
@settings(max_examples=25)
def test_whatever_the_tree_every_leaf_finds_its_gradient(tree, missing):
    leaves, structure = jax.tree.flatten(tree)
    gradients = [None if missing >> i & 1 and i else 2 * leaf for i, leaf in enumerate(leaves)]
    question = question_of(
        lambda tree: sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)),
        (tree,),
        (jax.tree.unflatten(structure, gradients),),
    )
    kept = [leaf for leaf, gradient in zip(leaves, gradients, strict=True) if gradient is not None]
    assert len(question.paths) == len(kept) == len(set(question.paths))
    for handed, leaf in zip(question.given, kept, strict=True):
        np.testing.assert_array_equal(handed.values, 2 * leaf)


def hidden_numpy(x):
    return np.asarray(x).sum()


def branching(x):
    return x.sum() if x[0, 0] > 0 else x.prod()


def failing(x):
    return x @ x


asked = partial(partial, question_of)
NAN = np.array([[0.0, 1, 2], [3, np.nan, 5]])
BAD = {
    "no function": (asked(X, (X,), X), TypeError, "expected function to be a function"),
    "arguments": (
        asked(scalar, {"x": X}, X),
        TypeError,
        r"a tuple with one entry per argument, got dict",
    ),
    "too many": (asked(scalar, (X, X), X), TypeError, r"scalar\(x\) takes them, got 2"),
    "nothing to differentiate": (asked(scalar, (X > 0,), X), ValueError, "of floating point"),
    "complex": (asked(scalar, (X + 1j,), X), TypeError, "real numbers, got complex"),
    "complex gradient": (asked(scalar, (X,), X + 1j), TypeError, "real numbers of at most 64 bits"),
    "objects": (asked(scaled, (X, np.array([None])), (X,)), TypeError, "numbers, got one of objects"),
    "nan": (asked(scalar, (NAN,), X), ValueError, r"expected x\[1, 1\] to be a number, got nan"),
    "infinite": (asked(scalar, (X + np.inf,), X), ValueError, r"x\[0, 0\] to be finite, got inf"),
    "empty": (
        asked(scalar, (X[:0],), X[:0]),
        ValueError,
        r"expected x to have entries, got shape \(0, 3\)",
    ),
    "integer gradient": (asked(scalar, (X,), X.astype(int)), TypeError, "gradient of x to hold floats"),
    "another tree": (asked(scaled, (X, S), {"x": X, "bias": S}, CT), ValueError, "got dict"),
    "a part of it": (asked(scalar, ({"w": X},), {"v": X}), ValueError, r"x\.w, got one of x\.v"),
    "too few": (asked(scaled, (X, S), (X,), CT), ValueError, "each of x and scale, .* got 1 entries"),
    "another name": (asked(scaled, (X, S), {"z": X}, CT), ValueError, "one entry for each of x and scale"),
    "bits of bfloat16": (
        asked(scaled, (X.astype(np.uint16), S), (None, S), CT),
        TypeError,
        "x .* got uint16: bits",
    ),
    "bits of a gradient": (asked(scaled, (X, S), (X.astype(np.uint16), S), CT), TypeError, "of x .* got uint16"),
    "bits of a cotangent": (asked(scaled, (X, S), (X, S), CT.astype(np.uint16)), TypeError, "ct .* got uint16"),
    "of nothing": (asked(scaled, (X, S), (None, None), CT), ValueError, "at least one of x and scale"),
    "of integers": (
        asked(lambda x, n: x * n, (S, 2), (S, S), S),
        ValueError,
        "got one of n, which is none",
    ),
    "wrt": (
        asked(scaled, (X, S), S, CT, wrt="bias"),
        ValueError,
        "wrt to name arguments of floating point",
    ),
    "wrt place": (asked(scaled, (X, S), S, CT, wrt=2), ValueError, "x and scale, got 2"),
    "wrt type": (asked(scaled, (X, S), S, CT, wrt=[1.0]), TypeError, "wrt to name arguments"),
    "no ct": (asked(scaled, (X, S), (X, S)), ValueError, r"no scalar one, got None; .* shape \(2, 3\)"),
    "ct shape": (
        asked(scaled, (X, S), (X, S), S),
        ValueError,
        r"expected ct of shape \(2, 3\), .* \(3,\)",
    ),
    "ct tree": (asked(of_tree, (TREE, X), (TREE, X), {"out": CT}), ValueError, "expected ct of"),
    "ct nan": (asked(scaled, (X, S), (X, S), NAN), ValueError, r"ct\[1, 1\] to be finite"),
    "ct zero": (asked(scaled, (X, S), (X, S), 0 * CT), ValueError, "zeros alone"),
    "precision": (asked(scalar, (X,), X, precision="fp32"), ValueError, "did you mean 'float32'"),
    "not stored": (
        asked(scalar, (X / 3,), X, precision="float32"),
        ValueError,
        r"x\.astype\('float32'\)",
    ),
    "outputs": (asked(scalar, (X,), X, outputs=(X, X)), ValueError, "expected outputs of outputs"),
    "branching": (
        asked(branching, (X,), X),
        ValueError,
        r"values of its arguments \(test_question.py:\d+\)",
    ),
    "numpy": (
        asked(hidden_numpy, (X,), X),
        ValueError,
        r"hands its arguments to NumPy .*\(test_question",
    ),
    "failing": (
        asked(failing, (X,), X),
        ValueError,
        r"failing\(x\) fails on these arguments: .*in failing",
    ),
    "no floats": (
        asked(lambda x: jnp.argmax(x), (X,), X),
        ValueError,
        "return an array of floating point",
    ),
    "complex outputs": (asked(lambda x: x + 1j, (X,), X), ValueError, "returns complex numbers"),
    "empty outputs": (asked(lambda x: x[:0], (X,), X), ValueError, r"outputs to have entries"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_sentence(name):
    ask, kind, words = BAD[name]
    with pytest.raises(kind, match=words) as caught:
        ask()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_asking_changes_no_setting():
    before = dict(jax.config.values)
    question_of(scaled, (X, S), (CT * S, (CT * X).sum(0)), CT)
    assert dict(jax.config.values) == before


@pytest.mark.parametrize("names", [("x", "scale"), ("dx", "dscale"), ("x_grad", "grad_scale"), ("ct_x", "ct_scale")])
def test_gradients_may_be_called_after_their_arguments_and_some_left_out(names):
    right = dict(zip(names, (CT * S, (CT * X).sum(axis=0)), strict=True))
    assert oracle.check_vjp(scaled, (X, S), right, CT).verdict == "consistent"
    alone = {names[1]: right[names[1]]}
    assert [leaf.path for leaf in oracle.check_vjp(scaled, (X, S), alone, CT).leaves] == ["scale"]
