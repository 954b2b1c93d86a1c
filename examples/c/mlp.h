/* Backpropagation through a multilayer perceptron, one sample after the other. ct_x is dLoss/dx.
 *
 * Compiled with -DREAL=float it computes in float32; with -DMISTAKE it makes a common mistake, in `backward`.
 */
#ifndef MLP_H
#define MLP_H

#include <stddef.h>
#include <tgmath.h> /* exp and tanh of a float are computed in float */

#ifndef REAL
#define REAL double
#endif
typedef REAL real;

/* Activations: a = f(z), and f'(z) in terms of a */

typedef struct {
    const char *name;
    real (*value)(real z);
    real (*derivative)(real a);
} Activation;

static real identity(real z) { return z; }
static real identity_derivative(real a) { return (void)a, 1; }

static real sigmoid(real z) { return 1 / (1 + exp(-z)); }
static real sigmoid_derivative(real a) { return a * (1 - a); }

static real tangent(real z) { return tanh(z); }
static real tangent_derivative(real a) { return 1 - a * a; }

static real relu(real z) { return z > 0 ? z : 0; }
static real relu_derivative(real a) { return a > 0; }

static const Activation ACTIVATIONS[] = {
    {"identity", identity, identity_derivative},
    {"sigmoid", sigmoid, sigmoid_derivative},
    {"tanh", tangent, tangent_derivative},
    {"relu", relu, relu_derivative},
};

/* The network: weights[i * fan_out + j] leads from input i to unit j */

typedef struct {
    size_t fan_in, fan_out;
    const Activation *activation;
    const real *weights, *bias;
    real *ct_weights, *ct_bias; /* summed over the samples */
    real *a, *ct_z;             /* of one sample */
} Layer;

static void forward(const Layer *layer, const real *inputs)
{
    for (size_t j = 0; j < layer->fan_out; j++) {
        real z = layer->bias[j];
        for (size_t i = 0; i < layer->fan_in; i++)
            z += inputs[i] * layer->weights[i * layer->fan_out + j];
        layer->a[j] = layer->activation->value(z);
    }
}

/* Adds this sample's contribution to the gradient of the layer's parameters. */
static void add_gradient(const Layer *layer, const real *inputs)
{
    for (size_t j = 0; j < layer->fan_out; j++)
        layer->ct_bias[j] += layer->ct_z[j];
    for (size_t i = 0; i < layer->fan_in; i++)
        for (size_t j = 0; j < layer->fan_out; j++)
            layer->ct_weights[i * layer->fan_out + j] += inputs[i] * layer->ct_z[j];
}

/* From the ct_z of a layer to that of the layer below: first through the weights, then through the activation. */
static void backward(const Layer *layer, const Layer *below)
{
    for (size_t i = 0; i < layer->fan_in; i++) {
        real ct_a = 0;
        for (size_t j = 0; j < layer->fan_out; j++)
#ifdef MISTAKE
            ct_a = layer->weights[i * layer->fan_out + j] * layer->ct_z[j]; /* each product overwrites the one before */
#else
            ct_a += layer->weights[i * layer->fan_out + j] * layer->ct_z[j];
#endif
        below->ct_z[i] = ct_a * below->activation->derivative(below->a[i]);
    }
}

/* The loss: what it says of one output, as the cotangent of z */

typedef enum { BARE_COTANGENT, SQUARED_ERROR, BINARY_CROSS_ENTROPY } LossKind;

typedef struct {
    LossKind kind;
    real factor; /* scale, and both divisors */
} Loss;

/* `wanted` is the target, or the cotangent of the output where there is no loss. */
static real output_cotangent(Loss loss, const Activation *activation, real a, real wanted)
{
    switch (loss.kind) {
    case SQUARED_ERROR:
        return loss.factor * 2 * (a - wanted) * activation->derivative(a);
    case BINARY_CROSS_ENTROPY: /* after the sigmoid, whose derivative cancels */
        return loss.factor * (a - wanted);
    default:
        return wanted * activation->derivative(a);
    }
}

/* One sample through the network and back: its outputs, and its part of the gradients. */
static void learn(const Layer *layers, size_t depth, Loss loss, const real *inputs, const real *wanted, real *outputs)
{
    const Layer *last = &layers[depth - 1];
    for (size_t l = 0; l < depth; l++)
        forward(&layers[l], l == 0 ? inputs : layers[l - 1].a);
    for (size_t j = 0; j < last->fan_out; j++) {
        outputs[j] = last->a[j];
        last->ct_z[j] = output_cotangent(loss, last->activation, last->a[j], wanted[j]);
    }
    for (size_t l = depth; l-- > 0;) {
        add_gradient(&layers[l], l == 0 ? inputs : layers[l - 1].a);
        if (l > 0)
            backward(&layers[l], &layers[l - 1]);
    }
}

#endif
