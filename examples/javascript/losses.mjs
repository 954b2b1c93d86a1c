// Losses of one sample, each value beside its derivative, and what they are multiplied by.
//
// o are the outputs of the network, t the targets, z logits: what sigmoid or softmax makes probabilities of.

import { addMultiple, logCosh, sigmoid, softplus, sum } from "./special.mjs";

/** t x, and 0 for t = 0 even if x is infinite: the limit of t log p. */
const times = (t, x) => (t === 0 ? 0 : t * x);

const squaredError = (o, t) => ({
  value: sum(o, (x, k) => (x - t[k]) ** 2),
  ct: o.map((x, k) => 2 * (x - t[k])),
});

// by differences o - t
const absoluteError = (o, t) => ({
  value: sum(o, (x, k) => Math.abs(x - t[k])),
  ct: o.map((x, k) => Math.sign(x - t[k])),
});

const huber = (o, t, { delta = 1 }) => {
  const inner = (x) => Math.abs(x) <= delta;
  return {
    value: sum(o, (x, k) => (inner(x - t[k]) ? (x - t[k]) ** 2 / 2 : delta * (Math.abs(x - t[k]) - delta / 2))),
    ct: o.map((x, k) => Math.max(-delta, Math.min(delta, x - t[k]))),
  };
};

const logCoshError = (o, t) => ({
  value: sum(o, (x, k) => logCosh(x - t[k])),
  ct: o.map((x, k) => Math.tanh(x - t[k])),
});

// by margins: targets -1 and 1; or the output of the class above that of each other class
const hinge = (o, t) => ({
  value: sum(o, (x, k) => Math.max(0, 1 - t[k] * x)),
  ct: o.map((x, k) => (t[k] * x < 1 ? -t[k] : 0)),
});

const multiclassHinge = (o, t) => {
  const ofClass = sum(o, (x, k) => t[k] * x);
  const missed = o.map((x, k) => (1 + x > ofClass ? 1 - t[k] : 0));
  return {
    value: sum(o, (x, k) => missed[k] * (1 + x - ofClass)),
    ct: missed.map((one, k) => one - t[k] * sum(missed)),
  };
};

// Cross-entropies of probabilities p, as functions of the logits: of a p that rounds to 0 or 1 the logarithm is lost.
// binary: -sum of t log p + (1 - t) log(1 - p); categorical: -sum of t log p

// p = sigmoid(z): 1 - p = sigmoid(-z), -log p = softplus(-z), -log(1 - p) = softplus(z)

const binaryOfSigmoid = (z, t) => ({
  value: sum(z, (x, k) => times(t[k], softplus(-x)) + times(1 - t[k], softplus(x))),
  ct: z.map((x, k) => (1 - t[k]) * sigmoid(x) - t[k] * sigmoid(-x)), // p - t
});

const categoricalOfSigmoid = (z, t) => ({
  value: sum(z, (x, k) => times(t[k], softplus(-x))),
  ct: z.map((x, k) => -t[k] * sigmoid(-x)),
});

// p = softmax(z): dp_k/dz_i = p_k ([i = k] - p_i)

const categoricalOfSoftmax = (z, t) => {
  const { p, q, minusLogP } = softmaxParts(z);
  const total = sum(t);
  return {
    value: sum(z, (_, k) => times(t[k], minusLogP[k])),
    ct: z.map((_, i) => p[i] * (total - t[i]) - t[i] * q[i]), // p sum(t) - t
  };
};

const binaryOfSoftmax = (z, t) => {
  const { p, q, minusLogP, minusLogQ } = softmaxParts(z);
  const product = (i, k) => Math.exp(minusLogQ[k] - minusLogP[k] - minusLogP[i]); // p_i p_k / (1 - p_k)
  return {
    value: sum(z, (_, k) => times(t[k], minusLogP[k]) + times(1 - t[k], minusLogQ[k])),
    ct: z.map((_, i) =>
      sum(t, (x, k) => (i === k ? (1 - x) * p[i] - x * q[i] : x * p[i] - times(1 - x, product(i, k)))),
    ),
  };
};

/** A divergence is a categorical cross-entropy and t log t. */
const withCertainty = (entropy) => (z, t) => {
  const { value, ct } = entropy(z, t);
  return { value: value + sum(t, (x) => times(x, Math.log(x))), ct };
};

/** p = softmax(z), q = 1 - p, and minus the logarithms of both; the largest unit against the rest of them. */
function softmaxParts(z) {
  const largest = z.indexOf(Math.max(...z));
  const others = z.filter((_, k) => k !== largest);
  const next = Math.max(...others);
  const shifted = z.map((x) => x - z[largest]);
  const logRest = next - z[largest] + Math.log(sum(others, (x) => Math.exp(x - next))); // of all but the largest
  const rest = Math.exp(logRest);
  const p = shifted.map((x) => Math.exp(x) / (1 + rest));
  return {
    p,
    q: p.map((x, k) => (k === largest ? rest / (1 + rest) : 1 - x)),
    minusLogP: shifted.map((x) => Math.log1p(rest) - x),
    minusLogQ: p.map((x, k) => (k === largest ? Math.log1p(rest) - logRest : -Math.log1p(-x))),
  };
}

const OF_OUTPUTS = {
  squared_error: squaredError,
  absolute_error: absoluteError,
  huber,
  log_cosh: logCoshError,
  hinge,
  multiclass_hinge: multiclassHinge,
  sigmoid_cross_entropy: binaryOfSigmoid,
  softmax_cross_entropy: categoricalOfSoftmax,
  softmax_kl_divergence: withCertainty(categoricalOfSoftmax),
};

// by the activation that the probabilities come from
const OF_PROBABILITIES = {
  binary_cross_entropy: { sigmoid: binaryOfSigmoid, softmax: binaryOfSoftmax },
  categorical_cross_entropy: { sigmoid: categoricalOfSigmoid, softmax: categoricalOfSoftmax },
  kl_divergence: { sigmoid: withCertainty(categoricalOfSigmoid), softmax: withCertainty(categoricalOfSoftmax) },
};

export const LOSSES = [...Object.keys(OF_OUTPUTS), ...Object.keys(OF_PROBABILITIES)];

/** {value, ctZ} of one sample: its share of the loss, and dLoss/dz of the last layer, which has computed z and a. */
export function lossOf(loss, factor, { z, a }, activation, targets) {
  const ofLogits = OF_PROBABILITIES[loss.kind]?.[activation.name];
  const { value, ct } = ofLogits ? ofLogits(z, targets) : OF_OUTPUTS[loss.kind](a, targets, loss);
  const ctZ = ofLogits ? ct : activation.vjp(z, a, ct);
  return { value: factor * value, ctZ: ctZ.map((x) => factor * x) };
}

/** What the loss of each sample is multiplied by: scale, sample weight, and the divisors of the means. */
export function factorsOf({ scale, over_samples, over_outputs }, sampleWeights, outputs) {
  const counted = sampleWeights.filter((weight) => weight > 0).length;
  const ofSamples = { sum: 1, mean: sum(sampleWeights), batch_mean: counted };
  const divisor = ofSamples[over_samples] * (over_outputs === "mean" ? outputs : 1);
  return sampleWeights.map((weight) => (scale * weight) / divisor);
}

/** The penalty, l2/2 times the sum of all w^2 and l1 times that of all |w|, biases if asked for; adds its gradient. */
export function addPenalty({ l2, l1, l2_on_bias }, layers, gradients) {
  if (l2 === 0 && l1 === 0) return 0;
  const rows = (params) => params.flatMap(({ weights, bias }) => (l2_on_bias && bias ? [...weights, bias] : weights));
  const penalised = rows(layers);
  rows(gradients).forEach((ct, r) => {
    addMultiple(ct, l2, penalised[r]);
    addMultiple(ct, l1, penalised[r].map(Math.sign));
  });
  return sum(penalised, (row) => sum(row, (w) => (l2 / 2) * w * w + l1 * Math.abs(w)));
}
