/* Backpropagation through a multilayer perceptron, one sample after the other. ct_x is dLoss/dx.
 *
 * Compiled with -DREAL=float it computes in float32; with -DMISTAKE it makes a common mistake, in `backward`.
 */
#ifndef MLP_H
#define MLP_H

#include "functions.h"

/* The network: weights[i * fan_out + j] leads from input i to unit j */

typedef struct {
    size_t fan_in, fan_out;
    const Activation *activation;
    real parameter, at_zero;    /* of the activation */
    real *weights, *bias;       /* bias may be NULL */
    real *ct_weights, *ct_bias; /* summed over the samples */
    real *z, *a;                /* of one sample */
    real *ct_z;                 /* of all samples, one row each */
} Layer;

static Unit unit_of(const Layer *layer, size_t j)
{
    return (Unit){layer->z[j], layer->a[j], layer->parameter, layer->at_zero};
}

static void forward(const Layer *layer, const real *inputs)
{
    for (size_t j = 0; j < layer->fan_out; j++) {
        layer->z[j] = layer->bias == NULL ? 0 : layer->bias[j];
        for (size_t i = 0; i < layer->fan_in; i++)
            layer->z[j] += inputs[i] * layer->weights[i * layer->fan_out + j];
    }
    if (layer->activation->value == NULL)
        softmax(layer->z, layer->a, layer->fan_out);
    else
        for (size_t j = 0; j < layer->fan_out; j++)
            layer->a[j] = layer->activation->value(unit_of(layer, j));
}

/* The cotangent of z, in place of that of a. */
static void through_activation(const Layer *layer, real *ct)
{
    if (layer->activation->value == NULL)
        softmax_derivative(layer->a, ct, layer->fan_out);
    else
        for (size_t j = 0; j < layer->fan_out; j++)
            ct[j] *= layer->activation->derivative(unit_of(layer, j));
}

/* Adds this sample's contribution to the gradient of the layer's parameters. */
static void add_gradient(const Layer *layer, const real *inputs, const real *ct_z)
{
    if (layer->bias != NULL)
        for (size_t j = 0; j < layer->fan_out; j++)
            layer->ct_bias[j] += ct_z[j];
    for (size_t i = 0; i < layer->fan_in; i++)
        for (size_t j = 0; j < layer->fan_out; j++)
            layer->ct_weights[i * layer->fan_out + j] += inputs[i] * ct_z[j];
}

/* From the ct_z of a layer, through its weights, to the cotangent of what it was given. */
static void backward(const Layer *layer, const real *ct_z, real *ct_inputs)
{
    for (size_t i = 0; i < layer->fan_in; i++) {
        real ct_a = 0;
        for (size_t j = 0; j < layer->fan_out; j++)
#ifdef MISTAKE
            ct_a = layer->weights[i * layer->fan_out + j] * ct_z[j]; /* each product overwrites the one before */
#else
            ct_a += layer->weights[i * layer->fan_out + j] * ct_z[j];
#endif
        ct_inputs[i] = ct_a;
    }
}

/* A case: what is asked, and what is computed */

typedef struct {
    Layer *layers;
    size_t depth, samples;
    LossFunction *loss;       /* NULL: there is none, and `wanted` holds the cotangents of the outputs */
    bool fused;               /* with the last activation: it is computed from z, and ct_z is its derivative */
    const real *coefficients; /* of the loss of each sample: scale, both divisors, and the sample's weight */
    real l2, l1;              /* of the penalty l2 / 2 sum w^2 + l1 sum |w| */
    bool l2_on_bias;
    const real *inputs, *wanted;
    real value, *outputs, *ct_inputs;
} Case;

static const real *inputs_of(const Case *asked, size_t l, size_t n)
{
    return l == 0 ? asked->inputs + n * asked->layers[0].fan_in : asked->layers[l - 1].a;
}

/* The loss of sample n, whose derivative becomes ct_z of the last layer. */
static real apply_loss(const Case *asked, size_t n)
{
    const Layer *last = &asked->layers[asked->depth - 1];
    const real *wanted = asked->wanted + n * last->fan_out;
    real *ct = last->ct_z + n * last->fan_out, value = 0;
    if (asked->loss == NULL) {
        for (size_t j = 0; j < last->fan_out; j++)
            ct[j] = wanted[j];
    } else {
        value = times(asked->coefficients[n], asked->loss(asked->fused ? last->z : last->a, wanted, last->fan_out, ct));
        for (size_t j = 0; j < last->fan_out; j++)
            ct[j] = times(asked->coefficients[n], ct[j]);
    }
    if (!asked->fused)
        through_activation(last, ct);
    return value;
}

/* One sample through the network and back: its outputs, and its part of the loss and of the gradients. */
static void learn(Case *asked, size_t n)
{
    const Layer *layers = asked->layers, *last = &layers[asked->depth - 1];
    for (size_t l = 0; l < asked->depth; l++)
        forward(&layers[l], inputs_of(asked, l, n));
    for (size_t j = 0; j < last->fan_out; j++)
        asked->outputs[n * last->fan_out + j] = last->a[j];
    asked->value += apply_loss(asked, n);
    for (size_t l = asked->depth; l-- > 0;) {
        const real *ct_z = layers[l].ct_z + n * layers[l].fan_out;
        add_gradient(&layers[l], inputs_of(asked, l, n), ct_z);
        real *ct_below = l == 0 ? asked->ct_inputs : layers[l - 1].ct_z;
        backward(&layers[l], ct_z, ct_below + n * layers[l].fan_in);
        if (l > 0)
            through_activation(&layers[l - 1], ct_below + n * layers[l].fan_in);
    }
}

/* The penalty on some parameters, whose gradient is added to theirs. */
static real penalise(const Case *asked, const real *w, real *ct_w, size_t count)
{
    real squares = 0, sizes = 0;
    for (size_t i = 0; i < count; i++) {
        squares += w[i] * w[i];
        sizes += fabs(w[i]);
        ct_w[i] += asked->l2 * w[i] + asked->l1 * (real)((w[i] > 0) - (w[i] < 0));
    }
    return asked->l2 / 2 * squares + asked->l1 * sizes;
}

static void solve(Case *asked)
{
    for (size_t n = 0; n < asked->samples; n++)
        learn(asked, n);
    for (size_t l = 0; l < asked->depth && (asked->l2 > 0 || asked->l1 > 0); l++) {
        const Layer *layer = &asked->layers[l];
        asked->value += penalise(asked, layer->weights, layer->ct_weights, layer->fan_in * layer->fan_out);
        if (asked->l2_on_bias && layer->bias != NULL)
            asked->value += penalise(asked, layer->bias, layer->ct_bias, layer->fan_out);
    }
}

#endif
