// Backpropagation through a multilayer perceptron, one sample after the other, for functional-mlp to check.
//
//     node mlp.mjs               numbers are stored as float64
//     node mlp.mjs --float32     and as float32
//
// `MLP` is the network; `losses.mjs` has the losses; `serve.mjs` reads the cases and writes the gradients.

import { fileURLToPath } from "node:url";
import { LOSSES, addPenalty, factorsOf, lossOf } from "./losses.mjs";
import { serve } from "./serve.mjs";
import { addMultiple, normalDensity, normalDistribution, sigmoid, softplus, sum } from "./special.mjs";

/** An activation of each unit alone: a = value(z), da/dz = derivative(z, a). */
const ofUnits = ({ value, derivative }) => ({
  value: (z) => z.map((x) => value(x)),
  vjp: (z, a, ctA) => ctA.map((ct, j) => ct * derivative(z[j], a[j])),
});

/** The derivative beside a kink at 0, on whose right side it is 1. */
const beside = (z, left, atZero, right = 1) => (z > 0 ? right : z < 0 ? left : atZero);

/** The derivative of three pieces, and at the two kinks between them. */
const between = (z, [low, high], [below, inside, above], [atLow, atHigh]) =>
  z === low ? atLow : z === high ? atHigh : z < low ? below : z > high ? above : inside;

/** From low to high, and its ends outside. */
const clipped = (z, low, high) => Math.min(Math.max(z, low), high);

/** z times the logistic function of argument(z), whose derivative is slope(z). */
const gated = (argument, slope) =>
  ofUnits({
    value: (z) => z * sigmoid(argument(z)),
    derivative: (z) => sigmoid(argument(z)) * (1 + z * sigmoid(-argument(z)) * slope(z)),
  });

const leaky = ({ slope, at_zero = slope }) =>
  ofUnits({ value: (z) => (z > 0 ? z : slope * z), derivative: (z) => beside(z, slope, at_zero) });

const SELU_SCALE = 1.0507009873554804934;
const SELU_LEFT = 1.7580993408473768599; // scale times alpha
const GELU_RATE = 1.59576912160573071176; // 2 sqrt(2 / pi)
const GELU_CUBIC = 0.044715;

// name: from the parameters to {value, vjp}, where vjp takes ctA = dLoss/da to dLoss/dz
const ACTIVATIONS = {
  identity: () => ofUnits({ value: (z) => z, derivative: () => 1 }),
  sigmoid: () => ofUnits({ value: sigmoid, derivative: (z, a) => a * (1 - a) }),
  tanh: () => ofUnits({ value: Math.tanh, derivative: (z, a) => 1 - a * a }),
  relu: ({ at_zero = 0 }) => ofUnits({ value: (z) => Math.max(z, 0), derivative: (z) => beside(z, 0, at_zero) }),
  leaky_relu: (given) => leaky({ slope: 0.01, ...given }),
  prelu: (given) => leaky({ slope: 0.25, ...given }),
  relu6: ({ at_zero = 0, at_six = 0 }) =>
    ofUnits({ value: (z) => clipped(z, 0, 6), derivative: (z) => between(z, [0, 6], [0, 1, 0], [at_zero, at_six]) }),
  hardtanh: ({ low = -1, high = 1, at_low = 0, at_high = 0 }) =>
    ofUnits({
      value: (z) => clipped(z, low, high),
      derivative: (z) => between(z, [low, high], [0, 1, 0], [at_low, at_high]),
    }),
  hard_sigmoid: ({ low = -3, high = 3, at_low = 0, at_high = 0 }) =>
    ofUnits({
      value: (z) => (clipped(z, low, high) - low) / (high - low),
      derivative: (z) => between(z, [low, high], [0, 1 / (high - low), 0], [at_low, at_high]),
    }),
  hard_swish: ({ at_low = 0, at_high = 1 }) =>
    ofUnits({
      value: (z) => (z * (clipped(z, -3, 3) + 3)) / 6,
      derivative: (z) => between(z, [-3, 3], [0, (2 * z + 3) / 6, 1], [at_low, at_high]),
    }),
  elu: ({ alpha = 1, at_zero = alpha }) =>
    ofUnits({
      value: (z) => (z > 0 ? z : alpha * Math.expm1(z)),
      derivative: (z) => beside(z, alpha * Math.exp(z), at_zero),
    }),
  selu: ({ at_zero = SELU_LEFT }) =>
    ofUnits({
      value: (z) => (z > 0 ? SELU_SCALE * z : SELU_LEFT * Math.expm1(z)),
      derivative: (z) => beside(z, SELU_LEFT * Math.exp(z), at_zero, SELU_SCALE),
    }),
  celu: ({ alpha = 1 }) =>
    ofUnits({
      value: (z) => (z > 0 ? z : alpha * Math.expm1(z / alpha)),
      derivative: (z) => (z > 0 ? 1 : Math.exp(z / alpha)),
    }),
  softplus: ({ beta = 1 }) =>
    ofUnits({ value: (z) => softplus(beta * z) / beta, derivative: (z) => sigmoid(beta * z) }),
  silu: () => ofUnits({ value: (z) => z * sigmoid(z), derivative: (z) => sigmoid(z) * (1 + z * sigmoid(-z)) }),
  gelu: () =>
    ofUnits({
      value: (z) => z * normalDistribution(z),
      derivative: (z) => normalDistribution(z) + z * normalDensity(z),
    }),
  gelu_tanh: () =>
    gated(
      (z) => GELU_RATE * (z + GELU_CUBIC * z ** 3),
      (z) => GELU_RATE * (1 + 3 * GELU_CUBIC * z * z),
    ),
  quick_gelu: () => gated((z) => 1.702 * z, () => 1.702),
  mish: () =>
    ofUnits({
      value: (z) => z * Math.tanh(softplus(z)),
      derivative: (z) => Math.tanh(softplus(z)) + z * sigmoid(z) * (1 - Math.tanh(softplus(z)) ** 2),
    }),
  scaled_tanh: ({ scale = 1.7159, rate = 2 / 3 }) =>
    ofUnits({
      value: (z) => scale * Math.tanh(rate * z),
      derivative: (z) => scale * rate * (1 - Math.tanh(rate * z) ** 2),
    }),
  softsign: () => ofUnits({ value: (z) => z / (1 + Math.abs(z)), derivative: (z) => (1 + Math.abs(z)) ** -2 }),
  sin: () => ofUnits({ value: Math.sin, derivative: Math.cos }),
  cos: () => ofUnits({ value: Math.cos, derivative: (z) => -Math.sin(z) }),
  gaussian: () => ofUnits({ value: (z) => Math.exp(-z * z), derivative: (z, a) => -2 * z * a }),
  softmax: () => ({ value: softmax, vjp: softmaxVjp }),
};

function softmax(z) {
  const largest = Math.max(...z);
  const e = z.map((x) => Math.exp(x - largest));
  const total = sum(e);
  return e.map((x) => x / total);
}

/** da_k/dz_j = a_k ([j = k] - a_j) */
function softmaxVjp(z, a, ctA) {
  const mean = sum(a, (p, k) => p * ctA[k]);
  return a.map((p, j) => p * (ctA[j] - mean));
}

export class MLP {
  static activations = Object.keys(ACTIVATIONS);
  static losses = LOSSES;

  /**
   * @param layers one {weights, bias, activation} per layer: weights[i][j] leads from input i to unit j, bias may be
   *   undefined, and activation is {name, ...parameters}.
   * @param Numbers Float64Array or Float32Array, in which everything is stored.
   */
  constructor(layers, Numbers) {
    this.Numbers = Numbers;
    this.layers = layers.map(({ weights, bias, activation }) => ({
      weights: weights.map((row) => Numbers.from(row)),
      bias: bias && Numbers.from(bias),
      activation: { name: activation.name, ...ACTIVATIONS[activation.name](activation) },
    }));
  }

  /**
   * Both passes. Returns the loss, its gradients as params, the outputs, deltas (dLoss/dz of each layer) and ct_inputs
   * (dLoss/dinputs).
   *
   * @param batch inputs, loss (with the fields of a case file, none left out), targets and sampleWeights; or inputs and
   *   ctOutputs, which is dLoss/doutputs. Samples are rows.
   */
  solve({ inputs, loss, targets, sampleWeights, ctOutputs }) {
    const gradients = this.zeros();
    const { activation } = this.layers.at(-1);
    const factors = loss && factorsOf(loss, sampleWeights, targets[0].length);
    const samples = inputs.map((sample, n) => {
      const tape = this.forward(sample);
      const { z, a } = tape.at(-1);
      const { value, ctZ } = loss
        ? lossOf(loss, factors[n], { z, a }, activation, targets[n])
        : { ctZ: activation.vjp(z, a, this.Numbers.from(ctOutputs[n])) };
      return { value, outputs: a, ...this.backward(tape, ctZ, gradients) };
    });
    const value = loss && sum(samples, (sample) => sample.value) + addPenalty(loss, this.layers, gradients);
    return {
      loss: loss && this.Numbers.of(value)[0],
      params: gradients,
      outputs: samples.map(({ outputs }) => outputs),
      deltas: this.layers.map((_, l) => samples.map(({ deltas }) => deltas[l])),
      ct_inputs: samples.map(({ ctInputs }) => ctInputs),
    };
  }

  /** What every layer reads and computes of one sample: {inputs, z, a}. */
  forward(sample) {
    const tape = [];
    let inputs = this.Numbers.from(sample);
    for (const { weights, bias, activation } of this.layers) {
      const z = bias ? bias.slice() : new this.Numbers(weights[0].length);
      inputs.forEach((input, i) => addMultiple(z, input, weights[i]));
      const a = activation.value(z);
      tape.push({ inputs, z, a });
      inputs = a;
    }
    return tape;
  }

  /** Adds the gradients of one sample; from dLoss/dz of the last layer, returns that of each, and dLoss/dinputs. */
  backward(tape, ctZ, gradients) {
    const deltas = [];
    for (let l = this.layers.length - 1; ; l--) {
      const { weights, bias } = gradients[l];
      if (bias) addMultiple(bias, 1, ctZ);
      tape[l].inputs.forEach((input, i) => addMultiple(weights[i], input, ctZ));
      deltas.unshift(ctZ);
      const ctInputs = this.throughWeights(this.layers[l].weights, ctZ);
      if (l === 0) return { deltas, ctInputs };
      ctZ = this.throughHidden(this.layers[l - 1].activation, tape[l - 1], ctInputs);
    }
  }

  throughWeights(weights, ctZ) {
    return this.Numbers.from(weights, (row) => sum(row, (w, j) => w * ctZ[j]));
  }

  throughHidden(activation, { z, a }, ctA) {
    return activation.vjp(z, a, ctA);
  }

  /** Parameters of the same shapes that are 0. */
  zeros() {
    const zeros = (row) => new this.Numbers(row.length);
    return this.layers.map(({ weights, bias }) => ({ weights: weights.map(zeros), bias: bias && zeros(bias) }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(MLP);
