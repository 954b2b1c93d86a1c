// Checks the network against files of conformance vectors (docs/reference/vectors.md).
//
//     node verify.mjs FILE.json…               numbers are stored as float64
//     node verify.mjs --float32 FILE.json…     and as float32: only vectors whose numbers it holds are asked about
//
// Prints a line for each vector that fails, at the end a count, and what is not supported, which is skipped. Exit
// status: 0 none wrong, 1 any wrong, 2 bad input.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { MLP } from "./mlp.mjs";
import { RULES } from "./rules.mjs";
import { Refused, Unsupported, require, solved } from "./serve.mjs";

const IN_FLOAT32 = ["float32", "bfloat16", "float16"];
const PRECISIONS = ["float64", ...IN_FLOAT32];
const RESULTS = ["valid", "acceptable", "invalid"];

/** Checks networks of the class `Network`; returns the exit status. */
export function verify(Network, options = process.argv.slice(2)) {
  const Numbers = options.includes("--float32") ? Float32Array : Float64Array;
  const files = options.filter((option) => option !== "--float32");
  const counts = { right: 0, wrong: 0, otherPrecision: 0, update: 0, unsupported: 0 };
  const reasons = new Map();
  let place = "";
  try {
    require(files.length > 0 && files.every((file) => !file.startsWith("-")), "expected [--float32] FILE.json…");
    for (const file of files) {
      place = `${file}: `;
      for (const vector of vectorsOf(file)) {
        place = `${file}: ${vector.id}: `;
        const { outcome, failure, reason } = judged(vector, Network, Numbers);
        counts[outcome]++;
        if (reason) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
        if (failure) console.log(`${vector.id}: ${failure}: ${vector.comment}`);
      }
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.error(`verify: ${place}${error.message}`);
    return 2;
  }
  console.log(summary(counts, files.length));
  for (const [reason, count] of reasons) console.log(`not supported, ${count} times: ${reason}`);
  return counts.wrong > 0 ? 1 : 0;
}

function summary({ right, wrong, otherPrecision, update, unsupported }, files) {
  const total = right + wrong + otherPrecision + update + unsupported;
  const skipped = `${otherPrecision} of another precision and ${update} updates skipped`;
  const others = unsupported > 0 ? `, ${unsupported} not supported` : "";
  return `${total} vectors of ${files} files: ${right} right, ${wrong} wrong, ${skipped}${others}`;
}

function vectorsOf(file) {
  const { format, version, count, vectors } = readJson(file) ?? {};
  require(format === "functional-mlp/vectors", "expected a document of the format functional-mlp/vectors");
  require(version === 1, "expected version 1");
  require(Array.isArray(vectors) && vectors.length > 0, "expected a list of vectors");
  require(vectors.length === count, `expected ${count} vectors, as count says, got ${vectors.length}`);
  require(vectors.every((vector) => typeof vector?.id === "string"), "expected an id in every vector");
  return vectors;
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Refused(`expected a JSON document: ${error.message}`);
  }
}

/** What a vector counts as, and, where that is "wrong", the failure in words. */
function judged(vector, Network, Numbers) {
  const { precision, result, answer } = vector;
  require(PRECISIONS.includes(precision), `expected a precision out of ${PRECISIONS.join(", ")}`);
  require(RESULTS.includes(result), `expected a result out of ${RESULTS.join(", ")}`);
  if (Numbers === Float32Array && !IN_FLOAT32.includes(precision)) return { outcome: "otherPrecision" };
  if (result === "invalid" && answer?.learning_rate !== undefined) return { outcome: "update" };
  try {
    const ask = result === "invalid" ? failureToReject : failureToSolve;
    const failure = contradiction(vector) ?? ask(vector, Network, Numbers);
    return failure ? { outcome: "wrong", failure } : { outcome: "right" };
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    return { outcome: "unsupported", reason: error.message };
  }
}

/** Solves the case; what is wrong with that, undefined if it fits the expected answer or an alternative as a whole. */
function failureToSolve(vector, Network, Numbers) {
  const answer = solved(vector.case, Network, Numbers);
  const { learning_rate, update } = vector;
  if (learning_rate !== undefined) {
    const rule = { name: "descent", learning_rate, weight_decay: 0 };
    answer.params_after = trained(vector.case, rule, 1, Network, Numbers);
  }
  if (update !== undefined) {
    require(Number.isSafeInteger(update.steps) && update.steps > 0, "expected a number of steps");
    const after = trained(vector.case, update.rule, update.steps, Network, Numbers);
    const missed = misfit({ params_after: after }, { params_after: update.expected }, { params_after: update.allowed });
    if (missed) return missed;
  }
  const misfits = rightAnswers(vector).map(({ expected, allowed }) => misfit(answer, expected, allowed));
  return misfits.includes(undefined) ? undefined : misfits[0];
}

/** Compares the wrong answer of an invalid vector: the comparison must notice. */
function failureToReject({ answer, expected, allowed, mistake }) {
  require(answer?.params !== undefined, "expected an answer with params in an invalid vector");
  const noticed = misfit(answer, { params: expected?.params }, allowed);
  return noticed ? undefined : `its wrong answer (${mistake?.id}) was not noticed`;
}

/** The expected answer, and those for other conventions at a kink. */
function rightAnswers({ expected, expected_hex, allowed, alternatives = [] }) {
  require(Array.isArray(alternatives), "expected a list of alternatives");
  const answers = [{ expected, expected_hex, allowed }, ...alternatives];
  const complete = answers.every((each) => each?.expected?.params?.length > 0 && each.expected_hex && each.allowed);
  require(complete, "expected the fields expected, expected_hex and allowed");
  return answers;
}

/** The parameters after some steps of a rule, each on all samples. */
function trained(start, rule, steps, Network, Numbers) {
  const step = RULES[rule?.name];
  if (step === undefined) throw new Unsupported(`no update rule ${rule?.name}`);
  const kept = new Map(); // by the place of a number
  const moved = (row, ct, number, place) =>
    Numbers.from(row, (p, j) => {
      const key = `${place} ${j}`;
      if (!kept.has(key)) kept.set(key, {});
      return step(rule, number, p, ct[j], kept.get(key));
    });
  let { params } = start;
  for (let number = 1; number <= steps; number++) {
    const gradients = solved({ ...start, params: params.map(plain) }, Network, Numbers).params;
    params = params.map(({ weights, bias }, l) => ({
      weights: weights.map((row, i) => moved(row, gradients[l].weights[i], number, `${l} ${i}`)),
      bias: bias && moved(bias, gradients[l].bias, number, `${l} bias`),
    }));
  }
  return params;
}

/** A layer as it stands in a case. */
const plain = ({ weights, bias }) => ({ weights: weights.map((row) => [...row]), bias: bias && [...bias] });

/** The number of `answer` that exceeds what is allowed by the largest factor, in words; undefined if none does. */
function misfit(answer, expected, allowed) {
  let [worst, sentence] = [0, undefined];
  for (const [path, right, got, limit] of numbersOf(expected, answer, allowed)) {
    if (limit === null) continue; // nothing is required
    require(typeof right === "number" && limit >= 0, `expected a number and what is allowed at ${path}`);
    const error = typeof got === "number" ? Math.abs(got - right) : NaN;
    const excess = error <= limit ? 0 : error / limit || Infinity; // NaN is beyond every limit
    if (excess > worst) [worst, sentence] = [excess, `${path}: got ${got}, expected ${right}, allowed ${limit}`];
  }
  return sentence;
}

/** Where the expected numbers differ from the same in hexadecimal, in words; undefined if nowhere. */
function contradiction(vector) {
  const { update } = vector;
  for (const { expected, expected_hex } of [...rightAnswers(vector), ...(update ? [update] : [])]) {
    for (const [path, number, text] of numbersOf(expected, expected_hex)) {
      if (!Object.is(number, parsedHex(text, path))) return `${path}: expected is ${number}, expected_hex ${text}`;
    }
  }
  return undefined;
}

/** The float64 that C99 writes as text, such as 0x1.8p+1 for 3. */
function parsedHex(text, path) {
  const [, sign, whole, fraction = "", exponent] = /^(-?)0x([0-9a-f]+)(?:\.([0-9a-f]+))?p([+-]\d+)$/.exec(text) ?? [];
  require(whole !== undefined, `expected a hexadecimal number at ${path}`);
  const power = Number(exponent) - 4 * fraction.length;
  const half = Math.trunc(power / 2); // 2 ** power may underflow where the number does not
  const size = Number(`0x${whole}${fraction}`) * 2 ** half * 2 ** (power - half);
  return sign === "-" ? -size : size;
}

/** [path, number, …]: every number in a tree of objects and lists, and what is at the same place of other trees. */
function* numbersOf(tree, ...others) {
  yield* below("", tree, others);
}

function* below(path, tree, others) {
  if (typeof tree !== "object" || tree === null) {
    yield [path, tree, ...others];
    return;
  }
  for (const key of Object.keys(tree)) {
    // a list of another length has nothing at the same places
    const there = others.map((other) => (other?.length === tree.length ? other?.[key] : undefined));
    const name = Array.isArray(tree) ? `[${key}]` : path === "" ? key : `.${key}`;
    yield* below(path + name, tree[key], there);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = verify(MLP);
