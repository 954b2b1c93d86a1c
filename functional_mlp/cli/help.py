"""What the command line says of itself at length."""

EXAMPLES = """
Is your gradient right? Draw a case, let your program read it and write the
gradients that it computes (see check --help), and ask:

\b
functional-mlp case new --sizes 2,4,3,1 --activations relu,relu,sigmoid \\
    --loss binary_cross_entropy --samples 5 -o case.json
./your_program case.json > gradients.json
functional-mlp check case.json gradients.json

Or let it be run with cases that are chosen for it (see drive --help):

\b
functional-mlp drive -- ./your_program

Of any other function, written in JAX (see check-vjp --help):

\b
functional-mlp check-vjp norms:layer_norm arguments.npz gradients.npz

Of an activation or an elementwise kernel, every number of its format:

\b
functional-mlp check-elementwise kernels:gelu gelu --precision bfloat16

The truth, to look at, and what is installed:

\b
functional-mlp solve case.json -o solution.json
functional-mlp info
"""
ANSWERS = """
An ANSWER is what your program computed, laid out as the case's own parameters:

\b
{"format": "functional-mlp/gradients", "version": 1,
 "params": [{"weights": [[...], ...], "bias": [...]}, ...]}

where "loss", "outputs", "deltas" and "ct_inputs" may be added and are judged
too; or, of a program that shows no gradients, the parameters after one step of
plain gradient descent from those of the case:

\b
{"format": "functional-mlp/update", "version": 1, "learning_rate": 0.1,
 "params": [{"weights": [[...], ...], "bias": [...]}, ...]}

Several updates, with several rates, show weights that were updated too early.
JSON, .npz and .safetensors are read. Numbers in JSON are judged to the digits
printed: "%.17g" in C, repr in Python shows all of them.

Exit codes: 0 consistent, 1 wrong, 2 bad input or usage, 3 undecided: the noise
of the precision, or a kink, hides what is asked; the report says what would
decide it.

\b
./your_program case.json | functional-mlp check case.json -
functional-mlp check case.json gradients.json --precision float32 --json
functional-mlp check case.json gradients.json --html report.html
functional-mlp check case.json step-0.1.json step-0.01.json
"""
PROGRAMS = """
Your program reads one case as JSON, and answers as in check --help; it may name
the case ("case": its name), and say that it does not support it:

\b
{"format": "functional-mlp/gradients", "version": 1, "unsupported": true}

With --stream it reads one case per line, and answers each with a line, until
its input ends; flush the output after each line.

\b
functional-mlp drive -- ./my_backprop
functional-mlp drive --sizes 2,4,3,1 --activations relu,relu,sigmoid \\
    --loss binary_cross_entropy --precision float32 --jobs 2 -- node mlp.mjs

A crash, a hang or garbage is named; exit codes are those of check.
"""
DUMPS = """
Arrays are named as the function names its arguments, or by their number, and
parts of an argument behind a full stop: x, 0, arr_0 (NumPy's name for the
first), params.w, params.0.w. An argument that has a default may be left out, and
so may a gradient that was not computed. Integers and booleans are constants. The
outputs and their cotangents are named by their place (0, loss), or, if there is
but one, as you like.

\b
np.savez("arguments.npz", x=x, scale=scale, bias=bias)
np.savez("gradients.npz", x=ct_x, scale=ct_scale, bias=ct_bias)
np.savez("ct.npz", ct)
functional-mlp check-vjp norms:layer_norm arguments.npz gradients.npz \\
    --ct ct.npz --precision float32

NPZ has no bfloat16: use safetensors. Exit codes are those of check.
"""
KERNELS = """
Your function gets a NumPy array (n,) of the format, of bfloat16 with the dtype of
ml_dtypes, and returns one of the same shape: NumPy's, JAX's or PyTorch's. All
finite numbers of a 16-bit format are asked about; of float32 and float64 some
130,000. Without --derivative the derivative is that of JAX, if JAX can trace
the function; else the values alone are judged.

\b
functional-mlp check-elementwise kernels.py:gelu gelu \\
    --derivative kernels.py:gelu_slope --precision "bfloat16 in float32"
functional-mlp check-elementwise kernels:swish silu --precision float16 --json
functional-mlp check-elementwise kernels:fast_tanh tanh --figure tanh.png
functional-mlp check-elementwise kernels:bump reference:bump

Exit codes are those of check.
"""
CONSUMERS = """
Your program is asked as by drive (see drive --help): one case on its standard
input, gradients on its standard output; with --stream, line by line. Every
vector of a float64 program's precision and of narrower ones is put to it, and
what it gives (gradients, and loss, outputs, deltas, ct_inputs where it has
them) must be within what the vector allows.

\b
functional-mlp vectors verify -- ./my_backprop
functional-mlp vectors verify --stream --group losses --group kinks -- ./mlp
functional-mlp vectors verify --precision float32 --jobs 2 -- node mlp.mjs

Exit codes: 0 all right, 1 one wrong, 2 bad input or usage, 3 none supported.
"""
ASSIGNMENTS = """
An ASSIGNMENT says what is graded, and how; sizes, activations and [loss] must
be there, of the others this is the default:

\b
sizes = [2, 4, 3, 1]
activations = ["relu", "relu", "sigmoid"]
function = "backward"     # called as backward(params, inputs, targets)
parameters = "pairs"      # or "dict": of W1, b1, ...
points = 10.0             # as many for every array
feedback = "mistake"      # verdict, arrays, mistake or report
visibility = "visible"    # hidden, after_due_date, after_published
precision = "float64"
cases = 7
seed = 0
timeout = 10.0            # seconds for one answer, start included
cpu_seconds = 60          # and memory in MiB, of a submission
memory = 8000

\b
[loss]
kind = "binary_cross_entropy"
over_samples = "mean"

For example

\b
functional-mlp grade homework.toml submissions/ --html class.html --jobs 4
functional-mlp grade homework.toml backward.py --gradescope results.json
"""
