"""drive: programs in any language are judged, whatever they do instead of answering."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from typer.testing import CliRunner

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.cli.command import app
from functional_mlp.oracle.programs import process as external
from functional_mlp.oracle.programs.process import AnswerLimits, Conversation, Ending
from functional_mlp.oracle.programs.submit import Invocation
from tools.stress import fault_injection
from tools.stress.fault_injection import CASES, LOSS, MODES, NETWORK, PROGRAM, Injection, injected, survivors

pytestmark = pytest.mark.slow

LIMITS = AnswerLimits(5.0, 10**6)
QUICK = AnswerLimits(0.3, 10**6)


def command(mode="right", only=""):
    return [sys.executable, "-S", "-I", str(PROGRAM), mode, "0", only]


def driven(mode="right", only="", **how):
    return oracle.drive(command(mode, only), NETWORK, LOSS, **({"cases": 3, "timeout": 5.0} | how))


def python(code):
    return [sys.executable, "-S", "-I", "-c", code]


def run(code, text=b"", limits=LIMITS):
    return external.run_program(python(code), text, limits, threading.Event())


@pytest.fixture
def marked(monkeypatch):
    """Descendants of this test can be told from other processes."""
    monkeypatch.setenv(fault_injection.RUN, f"{os.getpid()}-{time.monotonic()}")


# what is judged


def test_a_right_program_is_consistent():
    report = driven()
    assert report.verdict == "consistent"
    assert [leaf.group for leaf in report.leaves[::4]] == list(CASES)
    assert report.findings == report.notes == ()
    assert report.diagnosis is None


def test_the_mistake_of_a_wrong_program_is_named():
    report = driven("transposed")
    assert report.verdict == "wrong"
    assert report.diagnosis.mistakes[0].id == "weight-gradient-transposed"


def test_as_a_stream_one_process_answers_all_cases_twice(tmp_path):
    log = tmp_path / "log"
    code = (
        f"import sys, json; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "import faulty_program as program\n"
        f"log = open({str(log)!r}, 'a'); print('start', file=log)\n"
        "for line in sys.stdin:\n"
        "    print('case', file=log, flush=True)\n"
        "    print(json.dumps(program.gradients(json.loads(line))), flush=True)"
    )
    report = oracle.drive([sys.executable, "-c", code], NETWORK, LOSS, cases=3, stream=True)
    assert report.verdict == "consistent"
    assert log.read_text().split() == ["start", *["case"] * 6]


def test_what_a_stream_keeps_between_cases_is_seen():
    report = driven("other-case", only="partial batch", stream=True)
    assert "another-case" in {finding.id for finding in report.findings}
    assert report.diagnosis is None


def test_without_a_network_several_kinds_are_tried_and_unsupported_ones_counted():
    code = (
        f"import sys, json; sys.argv = ['', 'right', '0', '']; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "import faulty_program as program\n"
        "case = json.load(sys.stdin)\n"
        "kind = case['loss']['kind']\n"
        "able = kind == 'binary_cross_entropy'\n"
        "print(json.dumps(program.gradients(case) if able else {'unsupported': True, 'reason': f'no {kind}'}))"
    )
    report = oracle.drive([sys.executable, "-c", code], cases=6, jobs=2)
    assert report.verdict == "consistent"
    assert len({leaf.group for leaf in report.leaves}) == 3
    [note] = report.notes
    assert note.startswith("3 of 6 cases are not supported (no squared_error; no categorical_cross_entropy;")


def test_a_program_that_supports_nothing_is_undecided():
    code = "print('{\"unsupported\": true}')"
    report = oracle.drive(python(code), NETWORK, LOSS, cases=2)
    assert report.verdict == "undecided"
    assert [finding.id for finding in report.findings] == ["unsupported"]


BY_COLUMNS = """
import json, sys, math
case = json.load(sys.stdin)
[layer], labels = case["params"], case["targets"]
assert (case["samples"], case["weights_layout"], len(layer["bias"][0])) == ("columns", "out_in", 1)
deltas = []
for x, label in zip(zip(*case["inputs"]), labels):
    z = [sum(w * v for w, v in zip(row, x)) + b for row, [b] in zip(layer["weights"], layer["bias"])]
    e = [math.exp(v - max(z)) for v in z]
    deltas.append([v / sum(e) - (i == label) for i, v in enumerate(e)])
weights = [[sum(d[i] * v for d, v in zip(deltas, row)) for row in case["inputs"]] for i in range(len(layer["bias"]))]
bias = [[FACTOR * sum(d[i] for d in deltas)] for i in range(len(layer["bias"]))]
print(json.dumps({"format": "functional-mlp/gradients", "version": 1, "params": [{"weights": weights, "bias": bias}]}))
"""


@pytest.mark.parametrize(("factor", "verdict"), [("1", "consistent"), ("1.001", "wrong")])
def test_a_program_may_have_cases_in_its_own_layout(factor, verdict):
    network, loss = fm.Network((4, 3), "softmax"), fm.Loss("categorical_cross_entropy")
    command = python(BY_COLUMNS.replace("FACTOR", factor))
    report = oracle.drive(command, network, loss, layout="columns", targets="labels", cases=3)
    assert report.verdict == verdict, report.text()
    assert not report.findings
    if verdict == "wrong":
        assert (
            oracle.drive(command, network, loss, layout="columns", targets="labels", cases=3, only=["weights"]).verdict
            == "consistent"
        )


def test_few_printed_digits_are_no_mistake():
    code = (
        f"import sys, json, re; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "import faulty_program as program\n"
        "text = json.dumps(program.gradients(json.load(sys.stdin)))\n"
        "print(re.sub(r'-?[0-9]+[.][0-9e+-]+', lambda found: f'{float(found[0]):g}', text))"
    )
    assert oracle.drive([sys.executable, "-c", code], NETWORK, LOSS, cases=3).verdict == "consistent"


@pytest.mark.slow
def test_digits_of_a_program_are_declared_and_numbers_that_are_no_json_are_said():
    code = (
        f"import sys, json, re; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "import faulty_program as program\n"
        "text = json.dumps(program.gradients(json.load(sys.stdin)))\n"
        "print(re.sub(r'(?<=[ [])[0-9]+[.][0-9e+-]+', lambda found: f'+{round(float(found[0]), 9)}', text))"
    )
    report = oracle.drive([sys.executable, "-c", code], NETWORK, LOSS, cases=3, digits="%.9f")
    assert report.verdict == "consistent"
    assert any(note.startswith("what your program prints is no JSON: +") for note in report.notes)


IN_FLOAT32 = """
import sys, json, numpy as np
def rounded(value):
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else np.array(value, np.float32)
case = json.load(sys.stdin)
layers = [rounded(layer) for layer in case["params"]]
a = [np.array(case["inputs"], np.float32)]
for layer, name in zip(layers, case["network"]["activations"]):
    z = a[-1] @ layer["weights"] + layer["bias"]
    a.append(np.maximum(z, 0) if name == "relu" else 1 / (1 + np.exp(-z)))
delta, params = (a[-1] - np.array(case["targets"], np.float32)) * np.float32(SCALE), []
for layer, before in zip(layers[::-1], a[-2::-1]):
    params.insert(0, {"weights": (before.T @ delta).tolist(), "bias": delta.sum(axis=0).tolist()})
    delta = (delta @ layer["weights"].T) * (before > 0)
print(json.dumps({"format": "functional-mlp/gradients", "version": 1, "params": params}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("cases", [14])
def test_a_program_in_float32_is_judged_as_that_whether_it_says_so_or_not(cases):
    command = [sys.executable, "-W", "ignore", "-c", IN_FLOAT32.replace("SCALE", "1")]
    report = oracle.drive(command, NETWORK, LOSS, cases=cases)
    assert (report.verdict, report.precision) == ("consistent", "float32")
    assert any("judged as float32" in note for note in report.notes)
    assert oracle.drive(command, NETWORK, LOSS, cases=cases, precision="float64").verdict == "wrong"


@pytest.mark.slow
def test_the_mistake_of_a_program_in_float32_is_named_too():
    command = [sys.executable, "-W", "ignore", "-c", IN_FLOAT32.replace("SCALE", "3")]
    report = oracle.drive(command, NETWORK, LOSS, cases=5)
    assert (report.verdict, report.precision) == ("wrong", "float32")
    assert [(one.id, one.value) for one in report.diagnosis.mistakes] == [("loss-scaled", pytest.approx(3.0))]


# faults


@pytest.mark.slow
@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("mode", MODES)
def test_every_fault_has_a_clear_outcome(mode):
    stream = MODES[mode].when == "stream" or (MODES[mode].when == "both" and list(MODES).index(mode) % 2 == 0)
    only = "" if MODES[mode].every else "partial batch"
    assert injected(Injection(mode, 0, only, stream)) == ""


@pytest.mark.usefixtures("marked")
def test_the_injection_notices_what_it_looks_for(monkeypatch):
    monkeypatch.setitem(MODES, "right", MODES["wrong"])
    assert injected(Injection("right", 0, "", False)) == "is consistent, not wrong"
    monkeypatch.setitem(MODES, "exits", MODES["hangs"])
    assert injected(Injection("exits", 0, "", False)).startswith("says ['exits']")
    monkeypatch.setattr(external, "_marked", lambda mark: iter(()))
    wrong = injected(Injection("leaves-a-daemon", 0, "", False))
    assert wrong.startswith("leaves the processes")
    for process in survivors():
        process.kill()


def test_an_answer_for_another_case_is_said_by_name():
    [finding] = driven("other-name", only="one sample").findings
    assert finding.id == "wrong-case"
    assert finding.sentence == (
        "in the case 'one sample' your program answers for another case than it was given: 'another case'."
    )


def test_standard_error_is_shown():
    report = oracle.drive(python("import sys; sys.exit('no such layer')"), NETWORK, LOSS, cases=1)
    [finding] = report.findings
    assert finding.id == "exits"
    assert "exit status 1: its standard error ends 'no such layer'" in finding.sentence


def test_control_characters_of_a_program_do_not_reach_the_terminal():
    report = oracle.drive(python("print('\\x1b[31m\\x07' + chr(0x202E))"), NETWORK, LOSS, cases=1)
    assert all(char.isprintable() or char == "\n" for char in report.text())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"cases": 0}, "expected cases to be an integer of at least 1, got 0"),
        ({"jobs": True}, "expected jobs to be an integer"),
        ({"timeout": float("nan")}, "expected timeout to be finite, got nan"),
        ({"timeout": 0}, "expected timeout to be a number of seconds above 0, got 0"),
        ({"stream": True, "jobs": 2}, "expected jobs=1 with a stream"),
    ],
)
def test_bad_arguments_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        driven(**wrong)


def test_a_command_is_a_list():
    with pytest.raises(TypeError, match=r"expected command to be a list such as .*, got './mlp'"):
        oracle.drive("./mlp", NETWORK, LOSS)


def test_progress_is_reported_once_per_case():
    for stream in (False, True):
        ticks = []
        driven(stream=stream, progress=lambda ticks=ticks: ticks.append(1))
        assert len(ticks) == 3


def test_an_answer_may_be_as_long_as_its_case_is_large():
    case = oracle.draw_case(fm.Network((300, 300), "identity"), fm.Loss("squared_error"), samples=2)
    assert Invocation([], 1.0).limits(case).output > 64 * 300 * 300
    assert Invocation([], 1.0, 10).limits(case) == AnswerLimits(1.0, 10)


def test_where_nothing_is_wrong_no_pattern_is_seen():
    report = oracle.drive(python("print('{\"unsupported\": true}')"), NETWORK, LOSS, cases=3)
    assert report.notes == ()


def test_processes_that_cannot_be_listed_do_not_keep_a_program_alive(monkeypatch):
    def fail():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(external.psutil, "process_iter", fail)
    started = time.monotonic()
    assert (
        external.run_program(python("import time; time.sleep(60)"), b"", QUICK, threading.Event()).end is Ending.TIMEOUT
    )
    assert time.monotonic() - started < 30


def test_a_program_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlp").write_text("")
    for name, sentence in {
        "nowhere": "found none named 'nowhere'$",
        "mlp": "is it ./mlp?",
        "./mlp": "permission denied",
        "": "expected a command to run, got none",
    }.items():
        with pytest.raises(oracle.CommandError, match=sentence):
            oracle.drive([name], NETWORK, LOSS, cases=1)
    with pytest.raises(ValueError, match="expected a network with the loss"):
        oracle.drive(["cat"], None, LOSS)


# processes


def test_a_program_is_given_its_input_and_heard():
    ran = run("import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('said')", b"ab" * 10**5)
    assert ran == (Ending.EXITED, b"AB" * 10**5, b"said", 0, 0, b"", False, 0)


def test_output_is_bounded():
    ran = run("import sys\nwhile True: sys.stdout.write('x' * 10**6)")
    assert ran.end is Ending.FLOOD
    assert len(ran.output) == LIMITS.output


def test_a_program_that_keeps_its_pipes_in_a_process_left_behind_is_not_waited_for():
    start = time.monotonic()
    ran = run("import os, time\nif os.fork() == 0: time.sleep(60)\nprint('done')", limits=AnswerLimits(50.0, 10**6))
    assert (ran.end, ran.output, ran.left) == (Ending.EXITED, b"done\n", 1)
    assert time.monotonic() - start < 30


def test_a_program_is_ended_from_outside():
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert (
        external.run_program(python("import time; time.sleep(60)"), b"", AnswerLimits(50.0, 10**6), stop).end
        is Ending.STOPPED
    )


def test_a_conversation_starts_again_after_a_program_has_ended():
    code = "import sys\nfor i, line in enumerate(sys.stdin):\n if i == 2: break\n print(i, line, end='', flush=True)"
    with Conversation(python(code), threading.Event()) as conversation:
        answers = [conversation.ask(b"a", LIMITS) for _ in range(5)]
    assert [answer.output for answer in answers] == [b"0 a", b"1 a", b"", b"0 a", b"1 a"]
    assert [answer.end for answer in answers] == [
        Ending.ANSWERED,
        Ending.ANSWERED,
        Ending.EXITED,
        Ending.ANSWERED,
        Ending.ANSWERED,
    ]


def test_what_a_conversation_keeps_back_is_noticed():
    code = "import sys; print(sys.stdin.read())"
    with Conversation(python(code), threading.Event()) as conversation:
        ran = conversation.ask(b"a", QUICK)
    assert (ran.end, ran.output, ran.kept_back) == (Ending.TIMEOUT, b"a", True)


# the command


def cli(*arguments):
    run = [sys.executable, "-m", "functional_mlp", "drive", *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)


def test_the_command_gives_the_verdict_as_its_exit_code():
    network = ("--sizes", "2,3,2", "--activations", "relu,sigmoid", "--loss", "binary_cross_entropy", "--cases", "2")
    ran = cli(*network, "--json", "--", *command("wrong"))
    assert (ran.returncode, ran.stderr) == (1, "")
    assert json.loads(ran.stdout)["verdict"] == "wrong"


@pytest.mark.usefixtures("as_a_person")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--loss", "squared_error", "cat"), "expected --activations with --sizes or a loss"),
        (("--scale", "2", "cat"), "expected --activations with --sizes or a loss"),
        (("--html", "/nowhere/page.html", "cat"), "expected --html to be in a folder that exists"),
        (("nowhere",), "found none named 'nowhere'"),
        ((), "Missing argument 'COMMAND'"),
    ],
)
def test_bad_usage_ends_in_exit_code_2(arguments, sentence):
    ran = CliRunner().invoke(app, ["drive", *arguments], catch_exceptions=False)
    assert ran.exit_code == 2
    assert sentence in ran.stderr
    assert ran.stdout == ""


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_command_takes_its_program_along_when_it_is_ended(number):
    run = [sys.executable, "-m", "functional_mlp", "drive", "--timeout", "60", "--", *command("hangs")]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(survivors()) < 2:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert survivors() == []


def test_networks_of_other_activations_are_chosen_by_their_names():
    with pytest.raises(ValueError, match="unknown activation"):
        oracle.drive(["cat"], "rely", fm.Loss("squared_error"))


# updates

STEPS = """
import json, sys
case = json.load(sys.stdin)
x, t, [layer] = case["inputs"], case["targets"], case["params"]
rate, n = 0.1, len(x)
w, b = layer["weights"], layer["bias"]
velocity = [[0.0] * len(row) for row in w], [0.0] * len(b)
for step in range({steps}):
    d = [[2 * (sum(a * w[i][j] for i, a in enumerate(row)) + b[j] - t[k][j]) for j in range(len(b))]
         for k, row in enumerate(x)]
    for i in range(len(w)):
        for j in range(len(b)):
            velocity[0][i][j] = {momentum} * velocity[0][i][j] + sum(x[k][i] * d[k][j] for k in range(n))
            w[i][j] -= rate * velocity[0][i][j]
    for j in range(len(b)):
        velocity[1][j] = {momentum} * velocity[1][j] + sum(d[k][j] for k in range(n))
        b[j] -= rate * velocity[1][j]
print(json.dumps({{"format": "functional-mlp/update", "version": 1, "learning_rate": rate,
                   "params": [{{"weights": w, "bias": b}}]}}))
"""


@pytest.mark.parametrize(
    ("steps", "momentum", "declared", "verdict", "mistake"),
    [
        (1, 0.0, {"update": "descent"}, "consistent", None),
        (3, 0.9, {"update": "momentum", "epochs": 3}, "consistent", None),
        (3, 0.0, {"update": "momentum", "epochs": 3}, "wrong", "momentum-missing"),
    ],
)
def test_a_program_may_write_the_parameters_after_steps(steps, momentum, declared, verdict, mistake):
    code = STEPS.format(steps=steps, momentum=momentum)
    one_layer, loss = fm.Network((3, 2), "identity"), fm.Loss("squared_error")
    report = oracle.drive(python(code), one_layer, loss, cases=3, **declared)
    assert report.verdict == verdict, report.text()
    assert [one.id for one in report.diagnosis.mistakes] == [mistake] if mistake else report.diagnosis is None


def test_a_program_that_writes_gradients_where_an_update_is_expected_is_told():
    report = driven(update="descent")
    assert report.verdict == "wrong"
    assert "functional-mlp/update" in report.text()
