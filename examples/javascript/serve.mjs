// Reads cases (docs/reference/oracle.md), one per line, from standard input and answers each with a line of gradients on standard
// output. A case of another kind than the network computes is answered "unsupported"; input that is no case is refused
// with a sentence on standard error and exit status 1.
//
// A network is a class with a constructor and a method `solve`, as described in mlp.mjs, and with the names of the
// activations and losses that it computes as static `activations` and `losses`.

import { createInterface } from "node:readline";

export class Unsupported extends Error {}
export class Refused extends Error {}

const LAYOUTS = { weights_layout: "in_out", bias_layout: "separate" };
const DATA = ["params", "inputs", "targets", "sample_weights", "ct_outputs"];
const FIELDS = ["format", "version", "name", "dtype", ...Object.keys(LAYOUTS), "network", "loss", ...DATA];
const AT_ENDS = ["at_low", "at_high"];
const PARAMETERS = {
  relu: ["at_zero"],
  leaky_relu: ["slope", "at_zero"],
  prelu: ["slope", "at_zero"],
  elu: ["alpha", "at_zero"],
  selu: ["at_zero"],
  celu: ["alpha"],
  softplus: ["beta"],
  relu6: ["at_zero", "at_six"],
  hardtanh: ["low", "high", ...AT_ENDS],
  hard_sigmoid: ["low", "high", ...AT_ENDS],
  hard_swish: AT_ENDS,
  scaled_tanh: ["scale", "rate"],
};
const PROBABILITIES = ["sigmoid", "softmax"];
const OF_PROBABILITIES = ["binary_cross_entropy", "categorical_cross_entropy", "kl_divergence"];
const OPTIONS = { huber: ["delta"] }; // of losses, besides what every loss has

/** Answers cases with networks of the class `Network` until the input ends. */
export async function serve(Network) {
  const Numbers = process.argv.includes("--float32") ? Float32Array : Float64Array;
  let answered = 0;
  process.stdout.on("error", () => process.exit(1)); // nobody reads any more
  try {
    for await (const line of createInterface({ input: process.stdin })) {
      if (line.trim() === "") continue;
      process.stdout.write(`${toJson(answer(parsed(line), Network, Numbers))}\n`);
      answered++;
    }
    require(answered > 0, "expected a case on standard input");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    process.stderr.write(`mlp: ${error.message}\n`);
    process.exitCode = 1;
    process.stdin.destroy(); // or the program would wait for the end of an input that it no longer reads
  }
}

function answer(document, Network, Numbers) {
  const head = { format: "functional-mlp/gradients", version: 1, case: document?.name };
  try {
    return { ...head, ...solved(document, Network, Numbers) };
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    return { ...head, unsupported: true, reason: error.message };
  }
}

/** The fields of a gradients file for a case: loss, params, outputs and so on. */
export function solved(document, Network, Numbers) {
  requireCase(document);
  for (const [field, usual] of Object.entries(LAYOUTS)) {
    support([usual, undefined].includes(document[field]), `only the ${field} ${usual}`);
  }
  const others = Object.keys(document).filter((field) => !FIELDS.includes(field));
  support(others.length === 0, `no ${others[0]}`);
  const layers = layersOf(document, Network.activations);
  return new Network(layers, Numbers).solve(batchOf(document, layers, Network.losses));
}

// reading

export function require(condition, sentence) {
  if (!condition) throw new Refused(sentence);
}

function support(condition, reason) {
  if (!condition) throw new Unsupported(reason);
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Refused(`expected a JSON document on each line: ${error.message}`);
  }
}

function requireCase(document) {
  require(document?.format === "functional-mlp/case", "expected a document of the format functional-mlp/case");
  require(document.version === 1, "expected version 1");
  require(["string", "undefined"].includes(typeof document.name), "expected a text as name");
}

function requireMatrix(matrix, rows, columns, name) {
  require(Array.isArray(matrix) && matrix.length === rows, `expected ${rows} rows in ${name}, as the sizes say`);
  for (const row of matrix) requireVector(row, columns, name);
}

function requireVector(vector, length, name) {
  require(Array.isArray(vector) && vector.length === length, `expected ${length} numbers in ${name}, as the sizes say`);
  require(vector.every(Number.isFinite), `expected numbers in ${name}`);
}

function layersOf({ network, params }, known) {
  const { sizes, activations } = network ?? {};
  require(Array.isArray(params) && params.length > 0, "expected a list of layers in params");
  require(Array.isArray(sizes) && sizes.length === params.length + 1, "expected one size more than layers in params");
  require(sizes.every((size) => Number.isSafeInteger(size) && size > 0), "expected sizes that are positive integers");
  const each = Array.isArray(activations) ? activations : params.map(() => activations);
  require(each.length === params.length, "expected one activation, or one per layer");
  return params.map((layer, l) => {
    const bias = layer?.bias ?? undefined; // null and left out: none
    support(bias === undefined || typeof bias?.[0] === "number", "only biases that are lists of numbers");
    requireMatrix(layer?.weights, sizes[l], sizes[l + 1], `params.${l}.weights`);
    if (bias) requireVector(bias, sizes[l + 1], `params.${l}.bias`);
    return { weights: layer.weights, bias, activation: activationOf(each[l], known) };
  });
}

function activationOf(given, known) {
  const { name, ...parameters } = typeof given === "string" ? { name: given } : (given ?? {});
  require(typeof name === "string", "expected the name of an activation");
  support(known.includes(name), `no activation ${name}`);
  for (const [parameter, value] of Object.entries(parameters)) {
    require(PARAMETERS[name]?.includes(parameter), `expected no ${parameter} for ${name}`);
    require(Number.isFinite(value), `expected a number as ${parameter}`);
  }
  return { name, ...parameters };
}

function batchOf({ inputs, loss, targets, sample_weights, ct_outputs }, layers, known) {
  const { weights, activation } = layers.at(-1);
  require(Array.isArray(inputs) && inputs.length > 0, "expected at least one sample");
  requireMatrix(inputs, inputs.length, layers[0].weights.length, "inputs");
  if (loss === undefined) {
    require(targets === undefined && sample_weights === undefined, "expected ct_outputs alone where there is no loss");
    requireMatrix(ct_outputs, inputs.length, weights[0].length, "ct_outputs");
    return { inputs, ctOutputs: ct_outputs };
  }
  require(ct_outputs === undefined, "expected a loss or ct_outputs, not both");
  requireMatrix(targets, inputs.length, weights[0].length, "targets");
  const sampleWeights = sample_weights ?? inputs.map(() => 1);
  requireVector(sampleWeights, inputs.length, "sample_weights");
  require(sampleWeights.every((weight) => weight >= 0), "expected sample_weights that are not negative");
  require(sampleWeights.some((weight) => weight > 0), "expected sample_weights that are not all 0");
  return { inputs, loss: lossOf(loss, known, activation.name), targets, sampleWeights };
}

function lossOf(given, known, activation) {
  require(typeof given === "object" && given !== null, "expected an object as loss");
  const loss = { over_samples: "sum", over_outputs: "sum", scale: 1, l2: 0, l1: 0, l2_on_bias: false, ...given };
  const { kind, over_samples, over_outputs, scale, l2, l1, l2_on_bias, ...others } = loss;
  require(["sum", "mean", "batch_mean"].includes(over_samples), "expected sum, mean or batch_mean as over_samples");
  require(["sum", "mean"].includes(over_outputs), "expected sum or mean as over_outputs");
  require(Number.isFinite(scale), "expected a number as scale");
  require(Number.isFinite(l2) && l2 >= 0, "expected a number of at least 0 as l2");
  require(Number.isFinite(l1) && l1 >= 0, "expected a number of at least 0 as l1");
  require(typeof l2_on_bias === "boolean", "expected true or false as l2_on_bias");
  require(typeof kind === "string", "expected the kind of a loss");
  support(known.includes(kind), `no loss ${kind}`);
  const [option] = Object.keys(others).filter((name) => !OPTIONS[kind]?.includes(name));
  support(option === undefined, `no option ${option}`);
  require(Object.values(others).every(Number.isFinite), `expected numbers as options of ${kind}`);
  const admissible = !OF_PROBABILITIES.includes(kind) || PROBABILITIES.includes(activation);
  require(admissible, `expected ${PROBABILITIES.join(" or ")} before ${kind}`);
  return loss;
}

// writing

/** As JSON.stringify, but NaN and Infinity are written as they are, for the oracle to judge. */
function toJson(value) {
  if (typeof value === "number") return String(value);
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return `[${Array.from(value, toJson).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}: ${toJson(field)}`).join(", ")}}`;
}
