// Backpropagation through a multilayer perceptron, one sample after the other, for functional-mlp to check.
//
//     node mlp.mjs               numbers are stored as float64
//     node mlp.mjs --float32     and as float32
//
// `MLP` is the network; `serve.mjs` reads the cases and writes the gradients.

import { fileURLToPath } from "node:url";
import { serve } from "./serve.mjs";

// a = f(z), and f'(z) in terms of a
const ACTIVATIONS = new Map([
  ["identity", { value: (z) => z, derivative: () => 1 }],
  ["sigmoid", { value: (z) => 1 / (1 + Math.exp(-z)), derivative: (a) => a * (1 - a) }],
  ["tanh", { value: Math.tanh, derivative: (a) => 1 - a * a }],
  ["relu", { value: (z) => Math.max(z, 0), derivative: (a) => (a > 0 ? 1 : 0) }],
]);

export class MLP {
  static activations = [...ACTIVATIONS.keys()];

  /**
   * @param layers one {weights, bias, activation} per layer; weights[i][j] leads from input i to unit j.
   * @param Numbers Float64Array or Float32Array, in which everything is stored.
   */
  constructor(layers, Numbers) {
    this.Numbers = Numbers;
    this.layers = layers.map(({ weights, bias, activation }) => ({
      weights: weights.map((row) => Numbers.from(row)),
      bias: Numbers.from(bias),
      activation: ACTIVATIONS.get(activation),
      ctWeights: weights.map((row) => new Numbers(row.length)), // summed over the samples
      ctBias: new Numbers(bias.length),
    }));
  }

  /** The activations of one sample, from the inputs to the outputs. */
  forward(inputs) {
    const values = [this.Numbers.from(inputs)];
    for (const { weights, bias, activation } of this.layers) {
      const z = this.Numbers.from(bias);
      values.at(-1).forEach((input, i) => weights[i].forEach((w, j) => (z[j] += input * w)));
      values.push(z.map(activation.value));
    }
    return values;
  }

  /** Adds the gradients of one sample; `ctZ` is dLoss/dz of the last layer. */
  backward(values, ctZ) {
    for (let l = this.layers.length - 1; l >= 0; l--) {
      const { weights, ctWeights, ctBias } = this.layers[l];
      ctZ.forEach((ct, j) => (ctBias[j] += ct));
      values[l].forEach((input, i) => ctZ.forEach((ct, j) => (ctWeights[i][j] += input * ct)));
      if (l > 0) ctZ = this.throughLayer(weights, ctZ, values[l], this.layers[l - 1].activation);
    }
  }

  /** From the ctZ of a layer to that of the layer below, whose activations are `a`. */
  throughLayer(weights, ctZ, a, activation) {
    return a.map((value, i) => weights[i].reduce((sum, w, j) => sum + w * ctZ[j], 0) * activation.derivative(value));
  }

  /**
   * dLoss/dz of the last layer.
   *
   * @param loss {kind, factor}; without one, `wanted` is dLoss/doutputs instead of the targets.
   */
  outputCotangent(outputs, wanted, loss) {
    const { derivative } = this.layers.at(-1).activation;
    switch (loss?.kind) {
      case "squared_error":
        return outputs.map((o, j) => loss.factor * 2 * (o - wanted[j]) * derivative(o));
      case "binary_cross_entropy": // after the sigmoid, whose derivative cancels
        return outputs.map((o, j) => loss.factor * (o - wanted[j]));
      default:
        return outputs.map((o, j) => wanted[j] * derivative(o));
    }
  }

  get gradients() {
    return this.layers.map(({ ctWeights, ctBias }) => ({ weights: ctWeights, bias: ctBias }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(MLP);
