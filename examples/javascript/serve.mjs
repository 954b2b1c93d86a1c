// Reads cases (docs/oracle.md), one per line, from standard input and answers each with a line of gradients on standard
// output. A case of another kind than the network computes is answered "unsupported"; input that is no case is refused
// with a sentence on standard error and exit status 1.

import { createInterface } from "node:readline";

class Unsupported extends Error {}
class Refused extends Error {}

const FIELDS = ["format", "version", "name", "dtype", "network", "loss", "params", "inputs", "targets", "ct_outputs"];
const LOSSES = ["squared_error", "binary_cross_entropy"];

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
  require(document?.format === "functional-mlp/case", "expected a document of the format functional-mlp/case");
  require(document.version === 1, "expected version 1");
  require(["string", "undefined"].includes(typeof document.name), "expected a text as name");
  const head = { format: "functional-mlp/gradients", version: 1, case: document.name };
  try {
    return { ...head, ...solved(document, Network, Numbers) };
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    return { ...head, unsupported: true, reason: error.message };
  }
}

function solved(document, Network, Numbers) {
  support(Object.keys(document).every((field) => FIELDS.includes(field)), "only the usual layout, and equal samples");
  const layers = layersOf(document, Network.activations);
  const { inputs } = document;
  require(Array.isArray(inputs) && inputs.length > 0, "expected at least one sample");
  const last = layers.at(-1);
  const loss = document.loss === undefined ? undefined : lossOf(document.loss, last, inputs.length);
  const wanted = loss ? document.targets : document.ct_outputs;
  requireMatrix(inputs, inputs.length, layers[0].weights.length, "inputs");
  requireMatrix(wanted, inputs.length, last.bias.length, loss ? "targets" : "ct_outputs");

  const network = new Network(layers, Numbers);
  const outputs = inputs.map((sample, n) => {
    const values = network.forward(sample);
    network.backward(values, network.outputCotangent(values.at(-1), wanted[n], loss));
    return values.at(-1);
  });
  return { params: network.gradients, outputs };
}

// reading

function require(condition, sentence) {
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
    support(known.includes(each[l]), `only ${known.join(", ")}`);
    support(typeof layer?.bias?.[0] === "number", "only biases that are lists of numbers");
    requireMatrix(layer.weights, sizes[l], sizes[l + 1], `params.${l}.weights`);
    requireVector(layer.bias, sizes[l + 1], `params.${l}.bias`);
    return { ...layer, activation: each[l] };
  });
}

function lossOf(loss, last, samples) {
  const { kind, over_samples = "sum", over_outputs = "sum", scale = 1, l2 = 0 } = loss ?? {};
  const counts = { sum: () => 1, mean: (count) => count };
  require(Object.hasOwn(counts, over_samples) && Object.hasOwn(counts, over_outputs), "expected reductions sum or mean");
  require(Number.isFinite(scale), "expected a number as scale");
  support(l2 === 0, "no penalty");
  support(LOSSES.includes(kind), `only ${LOSSES.join(", ")}`);
  support(kind === "squared_error" || last.activation === "sigmoid", "binary_cross_entropy only after a sigmoid");
  return { kind, factor: scale / (counts[over_samples](samples) * counts[over_outputs](last.bias.length)) };
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
