"""The programs in C and JavaScript: what they compute beside the example, what they do not, and hostile input."""

import json
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.documents import check_schema, document_of, encode, parse_answer
from reference import exact, plain
from tests.examples.consoles import compile_c, needed
from tests.helpers.tolerances import RELATIVE, relative_difference

pytestmark = pytest.mark.slow

LANGUAGES = ("c", "javascript")
NETWORK = fm.Network((3, 2, 2), ("tanh", "identity"))


def line_of(case):
    return encode(document_of(case), ".json", case.dtype, case.name).strip() + b"\n"


def run(command, *lines, **environment):
    environment = os.environ | environment
    return subprocess.run(command, input=b"".join(lines), capture_output=True, timeout=20, check=False, env=environment)


def answers(command, *lines):
    done = run(command, *lines)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def drawn(network, loss, **options):
    return oracle.draw_case(network, loss, **{"samples": 4, "seed": 1, **options})


SQUARED = fm.Loss("squared_error")
CASES = {
    "mean, scale": drawn(NETWORK, fm.Loss("squared_error", "mean", "mean", 0.25)),
    "one activation": drawn(fm.Network((2, 3, 2), "sigmoid"), fm.Loss("binary_cross_entropy")),
    "bare cotangent": drawn(fm.Network((2, 3, 2), ("relu", "tanh")), None),
    "one layer": drawn(fm.Network((3, 1), "identity"), SQUARED, samples=1),
    "deep": drawn(fm.Network((1, 2, 1, 2, 1, 2), "tanh"), SQUARED),
    "smooth": drawn(fm.Network((2, 3, 3, 2), ("softplus", "silu", "gelu")), SQUARED),
    "parameters": drawn(fm.Network((2, 4, 4, 2), (fm.activations.leaky_relu(0.1), "elu", "softmax")), SQUARED),
    "logits": drawn(fm.Network((2, 2), "identity"), fm.Loss("softmax_cross_entropy")),
    "after softmax": drawn(fm.Network((2, 2), "softmax"), fm.Loss("binary_cross_entropy")),
    "later activations": drawn(fm.Network((2, 3, 3, 2), ("mish", "selu", fm.activations.softplus(2.0))), SQUARED),
    "gelu's other forms": drawn(fm.Network((2, 3, 2), ("gelu_tanh", "quick_gelu")), fm.Loss("absolute_error")),
    "margins": drawn(fm.Network((2, 3, 3), ("softsign", "sin")), fm.Loss("hinge", "batch_mean")),
    "divergence": drawn(fm.Network((2, 3, 3), ("gaussian", "softmax")), fm.Loss("kl_divergence", l1=0.1)),
    "penalty": drawn(fm.Network((2, 2), "tanh"), fm.Loss("squared_error", l2=0.1, l2_on_bias=True)),
}
CASES |= {
    "no bias": replace(CASES["deep"], params=[layer.weights for layer in CASES["deep"].params]),
    "weighted": replace(CASES["mean, scale"], sample_weights=np.array([0.0, 1.0, 2.0, 0.5])),
}
CASES = {name: replace(case, name=name) for name, case in CASES.items()}


def gradients_of(case):
    """By the NumPy reference."""
    document = json.loads(line_of(case))
    layers = [(layer["weights"], layer.get("bias")) for layer in document["params"]]
    data = {name: document.get(name) for name in ("inputs", "loss", "targets", "sample_weights", "ct_outputs")}
    return [fm.Dense(*layer) for layer in plain.solve(exact.Case(**document["network"], params=layers, **data)).grads]


def arrays_of(answer):
    return [
        fm.Dense(*(np.array(layer[name]) if name in layer else None for name in ("weights", "bias")))
        for layer in answer["params"]
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_case_of_the_supported_kinds_is_computed(command, language):
    printed = answers(command(language), *map(line_of, CASES.values()))
    assert [answer["case"] for answer in printed] == list(CASES)
    for answer, case in zip(printed, CASES.values(), strict=True):
        assert relative_difference(arrays_of(answer), gradients_of(case)) < RELATIVE["float64"]


def declared(**fields):
    """The document of a case, with other fields."""
    document = json.loads(line_of(CASES["one layer"]))
    return json.dumps(document | fields).encode() + b"\n"


OTHERS = {
    "an activation of your own": declared(network={"sizes": [3, 1], "activations": "cube"}),
    "another loss": declared(loss={"kind": "sigmoid_focal"}),
    "an option of the loss": declared(loss={"kind": "sigmoid_cross_entropy", "pos_weight": 2.0}),
    "weights the other way round": declared(weights_layout="out_in"),
    "a bias that is a row": declared(params=[{"weights": [[1.0], [2.0], [3.0]], "bias": [[0.5]]}]),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_cases_are_said_to_be_unsupported(command, language):
    for answer in answers(command(language), *OTHERS.values()):
        assert answer["unsupported"] is True
        assert answer["reason"]
        check_schema(answer, "gradients", language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ['a "quoted" \\ name', "tab\tand\nline", "Ωμέγα 数 🙂", "\x01\x7f</script>"])
def test_name_of_the_case_comes_back(command, language, name):
    escaped = declared(name=name)
    as_it_is = json.dumps(json.loads(escaped), ensure_ascii=False).encode() + b"\n"
    assert [answer["case"] for answer in answers(command(language), escaped, as_it_is)] == [name, name]


@pytest.mark.parametrize("language", LANGUAGES)
def test_not_a_number_is_written_as_the_oracle_reads_it(command, language):
    document = json.loads(line_of(CASES["one layer"]))
    document |= {"params": [{"weights": [[1e300], [1e300], [1e300]], "bias": [0.0]}], "inputs": [[1e300, -1e300, 0.0]]}
    done = run(command(language), json.dumps(document).encode() + b"\n")
    read = parse_answer(done.stdout, "answer")
    assert not np.isfinite(np.array(read.params[0]["weights"], np.float64)).all()


@pytest.mark.parametrize("language", LANGUAGES)
def test_float32_is_printed_to_all_its_digits(command, language):
    case = drawn(NETWORK, fm.Loss("squared_error"), dtype="float32")
    [answer] = answers(command(language, "float32"), line_of(case))
    got = arrays_of(answer)
    numbers = np.concatenate([leaf.ravel() for layer in got for leaf in layer])
    assert np.array_equal(numbers.astype(np.float32), [np.float32(f"{number:.9g}") for number in numbers])
    assert 1e-9 < relative_difference(got, gradients_of(case)) < RELATIVE["float32"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_line_is_answered_before_the_next_is_sent(command, language):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(language), **pipes) as program:
        for name, case in CASES.items():
            program.stdin.write(line_of(case))
            program.stdin.flush()
            assert json.loads(program.stdout.readline())["case"] == name
        program.stdin.write(b'{"format": "functional-mlp/case"}\n')
        program.stdin.flush()  # and left open
        assert b"expected version 1" in program.stderr.read()
        assert program.wait(timeout=10) == 1


# hostile input

LINE = (
    b'{"format":"functional-mlp/case","version":1,"dtype":"float64","network":{"sizes":[1,1],"activations":"relu"},'
    b'"params":[{"weights":[[1.5]],"bias":[-1e-1]}],"inputs":[[2]],"ct_outputs":[[1.0]]}'
)
PARAMS = [{"weights": [[1.0], [2.0], [3.0]], "bias": [0.5]}]
HOSTILE = {
    "nothing": b"",
    "blank lines": b" \n\n\t\n",
    "another value": b"[1, 2, 3]\n",
    "null": b"null\n",
    "no document": b"{}\n",
    "two documents in each other": b'{"format": {"format": "functional-mlp/case"}}\n',
    "trailing garbage": LINE + b"]\n",
    "trailing comma": LINE[:-1] + b",}\n",
    "not UTF-8": b'{"\xff\xfe": 1\n',
    "a zero byte": LINE.replace(b"relu", b"re\0lu") + b"\n",
    "wrong escape": b'{"\\x41": 1}\n',
    "half an escape": b'{"\\u12',
    "deep lists": b"[" * 100_000 + b"\n",
    "deep objects": b'{"a":' * 100_000 + b"\n",
    "a long number": LINE.replace(b"1.0", b"1" * 100_000) + b"\n",
    "a huge number": declared(inputs=[[1.0, 2.0, 3.0]]).replace(b"3.0]]", b"1e999]]"),
    "NaN": declared(inputs=[[1.0, 2.0, float("nan")]]),
    "Infinity": declared(inputs=[[1.0, 2.0, float("inf")]]),
    "comma decimals": declared().replace(b"1.0", b"1,0"),
    "hexadecimal": declared(version=1).replace(b'"version": 1', b'"version": 0x1'),
    "another version": declared(version=2),
    "another format": declared(format="functional-mlp/gradients"),
    "huge sizes": declared(network={"sizes": [10**18, 10**18], "activations": "identity"}),
    "larger sizes than arrays": declared(network={"sizes": [3, 1000], "activations": "identity"}),
    "many sizes": declared(network={"sizes": [3] * 1000, "activations": "identity"}),
    "sizes that are no integers": declared(network={"sizes": [3.5, 1], "activations": "identity"}),
    "negative sizes": declared(network={"sizes": [-3, 1], "activations": "identity"}),
    "sizes that are text": declared(network={"sizes": "31", "activations": "identity"}),
    "no activations": declared(network={"sizes": [3, 1]}),
    "too many activations": declared(network={"sizes": [3, 1], "activations": ["relu", "relu"]}),
    "no layers": declared(params=[]),
    "layers that are numbers": declared(params=[3]) + b"{",
    "ragged weights": declared(params=[{"weights": [[1.0], [2.0, 3.0], [4.0]], "bias": [0.5]}]),
    "rows that are numbers": declared(params=[{"weights": [1.0, 2.0, 3.0], "bias": [0.5]}]),
    "weights that are text": declared(params=[{"weights": [["a"], ["b"], ["c"]], "bias": [0.5]}]),
    "long bias": declared(params=[PARAMS[0] | {"bias": [0.5, 0.5]}]),
    "no samples": declared(inputs=[], targets=[]),
    "ragged inputs": declared(inputs=[[1.0, 2.0]]),
    "too few targets": declared(targets=[]),
    "targets that are an object": declared(targets={"0": [1.0]}),
    "a loss that is text": declared(loss="squared_error"),
    "another reduction": declared(loss={"kind": "squared_error", "over_samples": "median"}),
    "scale that is text": declared(loss={"kind": "squared_error", "scale": "1"}),
    "a penalty that is negative": declared(loss={"kind": "squared_error", "l2": -1.0}),
    "l2_on_bias that is a number": declared(loss={"kind": "squared_error", "l2_on_bias": 1}),
    "probabilities after identity": declared(loss={"kind": "categorical_cross_entropy"}),
    "an activation that is a number": declared(network={"sizes": [3, 1], "activations": 3}),
    "an activation without name": declared(network={"sizes": [3, 1], "activations": {"slope": 0.1}}),
    "a parameter of another activation": declared(
        network={"sizes": [3, 1], "activations": {"name": "tanh", "slope": 0.1}}
    ),
    "slope that is text": declared(network={"sizes": [3, 1], "activations": {"name": "leaky_relu", "slope": "0.1"}}),
    "too many sample weights": declared(sample_weights=[1.0, 1.0]),
    "negative sample weights": declared(sample_weights=[-1.0]),
    "sample weights that are all 0": declared(sample_weights=[0.0]),
    "name that is a number": declared(name=3),
    "name that is an object": declared(name={}),
}
REQUIRED = ("format", "version", "network", "params", "inputs", "targets")


def without(field):
    document = json.loads(declared())
    del document[field]
    return json.dumps(document).encode() + b"\n"


HOSTILE |= {f"no {field}": without(field) for field in REQUIRED}


def refused(done):
    """One sentence, no trace of a crash, exit status 1."""
    sentence = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 1, (done.returncode, sentence)
    assert sentence.startswith("mlp: ")
    assert sentence.count("\n") == 1, sentence


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The program in C that ends with a signal wherever the standard leaves undefined what it does."""
    if missing := needed("gcc"):
        pytest.skip(missing)
    try:
        flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        program = compile_c(tmp_path_factory.mktemp("sanitized") / "mlp", *flags)
    except subprocess.CalledProcessError:
        pytest.skip("gcc has no sanitizers here")
    assert run([program], LINE).returncode == 0
    return [program]


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_c_refuses_hostile_input(sanitized, content):
    refused(run(sanitized, content))


@pytest.mark.parametrize(
    "content", [LINE.replace(b"1.5", b"1e39"), declared(loss={"kind": "squared_error", "scale": 1e39})]
)
def test_c_refuses_what_a_float_cannot_hold(command, content):
    refused(run(command("c", "float32"), content))


def run_each(program, texts):
    """Side by side, and without the search for leaks at the end, which takes as long as all the rest."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda text: run(program, text, ASAN_OPTIONS="detect_leaks=0"), texts))


def test_c_refuses_a_case_that_ends_early(sanitized):
    for done in run_each(sanitized, [LINE[:length] for length in range(len(LINE))]):
        refused(done)


def test_c_does_not_crash_on_spoilt_bytes(sanitized):
    """Refused, or, where the case is still one, answered."""
    chance = random.Random(0)

    def spoilt():
        content = bytearray(LINE)
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.choice(b'0123456789eE+-.,:[]{}"\\ \x00\xff')
        return bytes(content)

    texts = [*(spoilt() for _ in range(100)), *(chance.randbytes(50) for _ in range(20))]
    for done in run_each(sanitized, texts):
        if done.returncode != 0:
            refused(done)


@pytest.mark.parametrize(
    "name", ["nothing", "null", "half an escape", "deep lists", "ragged weights", "huge sizes", "NaN", "no network"]
)
def test_javascript_refuses_hostile_input(command, name):
    refused(run(command("javascript"), HOSTILE[name]))
