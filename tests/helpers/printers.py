"""Arrays as other languages print them by default: each returns nested lists of texts, one for each number."""

import math
from collections.abc import Callable, Mapping

import numpy as np

Texts = list  # nested, of texts


def each(form: Callable[[float], str]) -> Callable[[np.ndarray], Texts]:
    """Prints every number by itself."""

    def printed(array: np.ndarray) -> Texts:
        return [printed(item) if np.ndim(item) else form(float(item)) for item in array]

    return printed


def numpy_print(array: np.ndarray) -> Texts:
    """NumPy's and, of float32, JAX's: at most 8 decimals without trailing zeros, or an exponent, for a whole array."""
    rows = np.array2string(array, separator=",", threshold=10**9, max_line_width=10**9).replace("[", "").split("],")
    words = [[word.strip(" ]\n") for word in row.split(",") if word.strip(" ]\n")] for row in rows]
    return words if array.ndim == 2 else words[0]


def torch_print(array: np.ndarray) -> Texts:
    """PyTorch's: four decimals, or four and an exponent, for a whole array; integers with a point."""
    found = np.abs(array[(array != 0) & np.isfinite(array)])
    whole = bool((array == np.ceil(array)).all())
    if not found.size:
        return each(lambda value: f"{value:.0f}.")(array)
    wide = found.max() / found.min() > 1000 or found.max() > 1e8
    if whole:
        return each((lambda value: f"{value:.4e}") if wide else (lambda value: f"{value:.0f}."))(array)
    wide = wide or found.min() < 1e-4
    return each((lambda value: f"{value:.4e}") if wide else (lambda value: f"{value:.4f}"))(array)


def r_print(array: np.ndarray) -> Texts:
    """R's: the fewest digits, at most 7, that the number that needs the most does, for a vector or a column."""
    if array.ndim == 2:
        columns = [r_print(column) for column in array.T]
        return [list(row) for row in zip(*columns, strict=True)]
    digits, decimals, wide, exponents = 1, 0, 1, []
    for value in map(float, array):
        mantissa, _, power = f"{value:.6e}".partition("e")
        needed = len(mantissa.lstrip("-").replace(".", "").rstrip("0")) or 1
        exponent = int(power) if value else 0
        digits, decimals = max(digits, needed), max(decimals, needed - 1 - exponent)
        wide, exponents = max(wide, exponent + 1), [*exponents, exponent]
    decimals = max(decimals, 0)
    with_exponent = digits + (digits > 1) + (5 if max(map(abs, exponents)) >= 100 else 4)
    if wide + (decimals + 1 if decimals else 0) <= with_exponent:
        return [f"{value:.{decimals}f}" for value in array]
    return [f"{value:.{digits - 1}e}" for value in array]


def matlab_print(decimals: int) -> Callable[[np.ndarray], Texts]:
    """MATLAB's short (4 decimals) and long (15): a common factor, written here behind each number; zeros as 0."""

    def printed(array: np.ndarray) -> Texts:
        largest = float(np.abs(array).max())
        if largest == 0 or (array == np.round(array)).all():
            return each(lambda value: f"{value:.0f}")(array)
        power = math.floor(math.log10(largest))
        power = 0 if 1e-3 <= largest < 1e3 else power
        end = f"e{power:+03d}" if power else ""
        return each(lambda value: "0" if value == 0 else f"{value / 10.0**power:.{decimals}f}{end}")(array)

    return printed


def javascript(value: float) -> str:
    """Number.prototype.toString: the shortest text that gives the number, without an exponent from 1e-6 to 1e21."""
    text = repr(value)
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        return f"{value:.{len(text.partition('e')[0].lstrip('-').replace('.', '')) - 1 - int(text.partition('e')[2])}f}"
    return text


def to_precision(digits: int) -> Callable[[float], str]:
    """Number.prototype.toPrecision: trailing zeros are kept, an exponent stands below 1e-6."""

    def printed(value: float) -> str:
        if value == 0:
            return f"{0:.{digits - 1}f}"
        exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
        if -7 < exponent < digits:
            return f"{value:.{digits - 1 - exponent}f}"
        return f"{value:.{digits - 1}e}"

    return printed


def half(printer: Callable[[np.ndarray], Texts]) -> Callable[[np.ndarray], Texts]:
    """Prints an array of float32."""
    return lambda array: printer(array.astype(np.float32))


PRINTERS: Mapping[str, Callable[[np.ndarray], Texts]] = {
    "NumPy": numpy_print,
    "PyTorch": torch_print,
    "PyTorch tolist": each(repr),
    "JAX": half(numpy_print),
    "C %f": each(lambda value: f"{value:f}"),
    "C %g": each(lambda value: f"{value:g}"),
    "C %e": each(lambda value: f"{value:e}"),
    "C %.17g": each(lambda value: f"{value:.17g}"),
    "R": r_print,
    "Julia": each(repr),
    "Julia compact": each(lambda value: repr(float(f"{value:.6g}"))),
    "MATLAB short": matlab_print(4),
    "MATLAB long": matlab_print(15),
    "JavaScript": each(javascript),
    "JavaScript toFixed(6)": each(lambda value: f"{value:.6f}"),
    "JavaScript toPrecision(6)": each(to_precision(6)),
    "Python round": each(lambda value: repr(round(value, 8))),
}


def draw(seed: int, count: int, low: int, high: int) -> np.ndarray:
    """Random numbers of both signs, their magnitudes evenly spread over 10^low … 10^high."""
    rng = np.random.default_rng(seed)
    signs: np.ndarray = rng.choice([-1.0, 1.0], count)
    return signs * rng.uniform(1, 10, count) * 10.0 ** rng.integers(low, high, count)


def row(form: str | Callable[[float], str], values: np.ndarray) -> str:
    """A gradients file with one row of weights, each printed by `form`, with a few words and fields around them."""
    texts = ", ".join(form(value) if callable(form) else form % value for value in values.tolist())
    head = '"format": "functional-mlp/gradients", "version": 1, "loss": 0.6931471805599453'
    return f'{{{head}, "params": [{{"weights": [[{texts}]], "bias": null}}]}}'


def as_json(texts: Texts) -> str:
    """Nested texts as arrays of JSON."""
    if isinstance(texts, str):
        return texts
    return f"[{', '.join(map(as_json, texts))}]"


def document(layers: list[tuple[np.ndarray, np.ndarray]], printer: Callable[[np.ndarray], Texts], **more: str) -> str:
    """A document of gradients whose arrays are printed so; `more` are fields as texts."""
    params = ", ".join(
        f'{{"weights": {as_json(printer(weights))}, "bias": {as_json(printer(bias))}}}' for weights, bias in layers
    )
    fields = "".join(f', "{name}": {text}' for name, text in more.items())
    return f'{{"format": "functional-mlp/gradients", "version": 1{fields}, "params": [{params}]}}'
