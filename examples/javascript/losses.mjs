// Losses of one sample, each value beside its derivative, and what they are multiplied by.
//
// o are the outputs of the network, t the targets, z logits: what sigmoid or softmax makes probabilities of.

import { addMultiple, sigmoid, softplus, sum } from "./special.mjs";

/** t x, and 0 for t = 0 even if x is infinite: the limit of t log p. */
const times = (t, x) => (t === 0 ? 0 : t * x);

const squaredError = (o, t) => ({
  value: sum(o, (x, k) => (x - t[k]) ** 2),
  ct: o.map((x, k) => 2 * (x - t[k])),
});

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
  sigmoid_cross_entropy: binaryOfSigmoid,
  softmax_cross_entropy: categoricalOfSoftmax,
};

// by the activation that the probabilities come from
const OF_PROBABILITIES = {
  binary_cross_entropy: { sigmoid: binaryOfSigmoid, softmax: binaryOfSoftmax },
  categorical_cross_entropy: { sigmoid: categoricalOfSigmoid, softmax: categoricalOfSoftmax },
};

export const LOSSES = [...Object.keys(OF_OUTPUTS), ...Object.keys(OF_PROBABILITIES)];

/** {value, ctZ} of one sample: its share of the loss, and dLoss/dz of the last layer, which has computed z and a. */
export function lossOf(kind, factor, { z, a }, activation, targets) {
  const ofLogits = OF_PROBABILITIES[kind]?.[activation.name];
  const { value, ct } = ofLogits ? ofLogits(z, targets) : OF_OUTPUTS[kind](a, targets);
  const ctZ = ofLogits ? ct : activation.vjp(z, a, ct);
  return { value: factor * value, ctZ: ctZ.map((x) => factor * x) };
}

/** What the loss of each sample is multiplied by: scale, sample weight, and the divisors of the means. */
export function factorsOf({ scale, over_samples, over_outputs }, sampleWeights, outputs) {
  const divisor = (over_samples === "mean" ? sum(sampleWeights) : 1) * (over_outputs === "mean" ? outputs : 1);
  return sampleWeights.map((weight) => (scale * weight) / divisor);
}

/** The penalty, l2/2 times the sum of all squared weights, and of the biases if asked for; adds its gradient. */
export function addPenalty({ l2, l2_on_bias }, layers, gradients) {
  if (l2 === 0) return 0;
  const rows = (params) => params.flatMap(({ weights, bias }) => (l2_on_bias && bias ? [...weights, bias] : weights));
  const penalised = rows(layers);
  rows(gradients).forEach((ct, r) => addMultiple(ct, l2, penalised[r]));
  return (l2 / 2) * sum(penalised, (row) => sum(row, (w) => w * w));
}
