/* The gradients of a multilayer perceptron as one would write them in C: plain loops, every sum in the order of its
   terms, derivatives written with the activation itself. Compiled for double, and for float with -DREAL=float.

   Samples are rows. z = a_prev w + b, w (fan_in, fan_out) row by row; ct_v is dLoss/dv. Flat arrays hold the layers one
   after the other: parameters and gradients as w then b (if any), and z, a, ct_z as (n, fan_out) each. */

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <tgmath.h>

#ifndef REAL
#define REAL double
#endif
typedef REAL real;

/* in the order of benchmarks/accuracy/implementations/compiled.py */
enum { IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU, ELU, SOFTPLUS, SILU, GELU, SOFTMAX };
enum { NONE, SQUARED_ERROR, BINARY_CROSS_ENTROPY, CATEGORICAL_CROSS_ENTROPY, SIGMOID_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY };

#define EACH for (int i = 0; i < count; i++)

/* activations: value, and derivative with respect to z */

static real sigmoid(real z) {
    real e = exp(-fabs(z));
    return z >= 0 ? 1 / (1 + e) : e / (1 + e);
}

static real softplus(real z) { return (z > 0 ? z : 0) + log1p(exp(-fabs(z))); }

static real normal_distribution(real z) { return (real)0.5 * (1 + erf(z * (real)0.70710678118654752440)); }

static real normal_density(real z) { return exp(-z * z / 2) * (real)0.39894228040143267794; }

static void softmax_row(const real *z, real *a, int count) {
    real largest = z[0], total = 0;
    EACH if (z[i] > largest) largest = z[i];
    EACH a[i] = exp(z[i] - largest);
    EACH total += a[i];
    EACH a[i] /= total;
}

static void activate(int kind, real parameter, const real *z, real *a, int count) {
    switch (kind) {
    case IDENTITY: EACH a[i] = z[i]; break;
    case SIGMOID: EACH a[i] = sigmoid(z[i]); break;
    case TANH: EACH a[i] = tanh(z[i]); break;
    case RELU: EACH a[i] = z[i] > 0 ? z[i] : 0; break;
    case LEAKY_RELU: EACH a[i] = z[i] > 0 ? z[i] : parameter * z[i]; break;
    case ELU: EACH a[i] = z[i] > 0 ? z[i] : parameter * expm1(z[i]); break;
    case SOFTPLUS: EACH a[i] = softplus(z[i]); break;
    case SILU: EACH a[i] = z[i] * sigmoid(z[i]); break;
    case GELU: EACH a[i] = z[i] * normal_distribution(z[i]); break;
    }
}

/* ct in: of a; ct out: of z */
static void through(int kind, real parameter, real at_zero, const real *z, const real *a, real *ct, int count) {
    switch (kind) {
    case SIGMOID: EACH ct[i] *= a[i] * (1 - a[i]); break;
    case TANH: EACH ct[i] *= 1 - a[i] * a[i]; break;
    case RELU: EACH ct[i] *= z[i] > 0 ? 1 : z[i] < 0 ? 0 : at_zero; break;
    case LEAKY_RELU: EACH ct[i] *= z[i] > 0 ? 1 : z[i] < 0 ? parameter : at_zero; break;
    case ELU: EACH ct[i] *= z[i] > 0 ? 1 : z[i] < 0 ? a[i] + parameter : at_zero; break;
    case SOFTPLUS: EACH ct[i] *= sigmoid(z[i]); break;
    case SILU: EACH { real s = sigmoid(z[i]); ct[i] *= s * (1 + z[i] * (1 - s)); } break;
    case GELU: EACH ct[i] *= normal_distribution(z[i]) + z[i] * normal_density(z[i]); break;
    }
}

static void softmax_row_through(const real *a, real *ct, int count) {
    real dot = 0;
    EACH dot += ct[i] * a[i];
    EACH ct[i] = a[i] * (ct[i] - dot);
}

/* losses: returns the sum of the terms of one row, and writes its derivative ct with respect to o; work has count */

static real loss_row(int kind, const real *o, const real *t, real *ct, real *work, int count) {
    real value = 0;
    if (kind == SQUARED_ERROR) EACH {
        real d = o[i] - t[i];
        value += d * d;
        ct[i] = 2 * d;
    }
    if (kind == BINARY_CROSS_ENTROPY) EACH {
        real s = 1 - t[i], q = 1 - o[i];
        value -= (t[i] == 0 ? 0 : t[i] * log(o[i])) + (s == 0 ? 0 : s * log(q));
        ct[i] = (s == 0 ? 0 : s / q) - (t[i] == 0 ? 0 : t[i] / o[i]);
    }
    if (kind == CATEGORICAL_CROSS_ENTROPY) EACH {
        value -= t[i] == 0 ? 0 : t[i] * log(o[i]);
        ct[i] = t[i] == 0 ? 0 : -t[i] / o[i];
    }
    if (kind == SIGMOID_CROSS_ENTROPY) EACH {
        value += softplus(o[i]) - t[i] * o[i];
        ct[i] = sigmoid(o[i]) - t[i];
    }
    if (kind == SOFTMAX_CROSS_ENTROPY) {
        real largest = o[0], total = 0, targets = 0;
        EACH if (o[i] > largest) largest = o[i];
        EACH work[i] = exp(o[i] - largest);
        EACH { total += work[i]; targets += t[i]; }
        EACH value += t[i] * (log(total) - (o[i] - largest));
        EACH ct[i] = work[i] / total * targets - t[i];
    }
    return value;
}

/* one layer: fan_in k, fan_out m */

static void product(const real *a, const real *w, const real *b, real *z, int n, int k, int m) {
    for (int s = 0; s < n; s++) {
        for (int j = 0; j < m; j++) z[(size_t)s * m + j] = b ? b[j] : 0;
        for (int i = 0; i < k; i++)
            for (int j = 0; j < m; j++) z[(size_t)s * m + j] += a[(size_t)s * k + i] * w[(size_t)i * m + j];
    }
}

static void product_back(const real *a, const real *w, const real *ct, real *gw, real *gb, real *ct_a, int n, int k, int m) {
    memset(gw, 0, (size_t)k * m * sizeof(real));
    if (gb) memset(gb, 0, m * sizeof(real));
    for (int s = 0; s < n; s++) {
        const real *d = ct + (size_t)s * m;
        if (gb) for (int j = 0; j < m; j++) gb[j] += d[j];
        for (int i = 0; i < k; i++) {
            real x = a[(size_t)s * k + i], sum = 0;
            for (int j = 0; j < m; j++) gw[(size_t)i * m + j] += x * d[j];
            for (int j = 0; j < m; j++) sum += d[j] * w[(size_t)i * m + j];
            ct_a[(size_t)s * k + i] = sum;
        }
    }
}

static real decay(real l2, const real *x, real *g, size_t count) {
    real squares = 0;
    for (size_t i = 0; i < count; i++) squares += x[i] * x[i];
    for (size_t i = 0; i < count; i++) g[i] += l2 * x[i];
    return l2 / 2 * squares;
}

/* kinds, parameters, at_zeros, has_bias: one per layer; given: targets, or ct_a_L for NONE; sample_weights: (n) or NULL;
   fused: the last layer's activation is skipped on the way back, and `loss` is one of its logits; scratch: n times the
   widest layer. Writes z, a, ct_z, grads, ct_inputs; returns the loss. */
double gradients(int layers, const int *sizes, const int *kinds, const real *parameters, const real *at_zeros,
                 const int *has_bias, const real *params, int n, const real *inputs, const real *given,
                 const real *sample_weights, int loss, int mean_over_samples, int mean_over_outputs, int fused,
                 double scale, double l2, int l2_on_bias, real *z, real *a, real *ct_z, real *grads, real *ct_inputs,
                 real *scratch) {
    const int last = layers - 1, outputs = sizes[layers];
    size_t unit = 0, weight = 0;
    for (int l = 0; l < layers; l++) {
        const int k = sizes[l], m = sizes[l + 1];
        const real *a_prev = l ? a + unit - (size_t)n * k : inputs;
        product(a_prev, params + weight, has_bias[l] ? params + weight + (size_t)k * m : NULL, z + unit, n, k, m);
        if (kinds[l] == SOFTMAX)
            for (int s = 0; s < n; s++) softmax_row(z + unit + (size_t)s * m, a + unit + (size_t)s * m, m);
        else
            activate(kinds[l], parameters[l], z + unit, a + unit, n * m);
        unit += (size_t)n * m;
        weight += (size_t)(k + has_bias[l]) * m;
    }

    real value = 0, *ct = scratch;
    const real *end = (fused ? z : a) + unit - (size_t)n * outputs;
    if (loss == NONE) {
        memcpy(ct, given, (size_t)n * outputs * sizeof(real));
    } else {
        real divisor = mean_over_outputs ? outputs : 1, total = 0;
        for (int s = 0; s < n; s++) total += sample_weights ? sample_weights[s] : 1;
        if (mean_over_samples) divisor *= total;
        for (int s = 0; s < n; s++) {
            const size_t row = (size_t)s * outputs;
            const real factor = (sample_weights ? sample_weights[s] : 1) * (real)scale / divisor;
            value += factor * loss_row(loss, end + row, given + row, ct + row, ct_z, outputs);
            for (int j = 0; j < outputs; j++) ct[row + j] *= factor;
        }
    }

    for (int l = last; l >= 0; l--) {
        const int k = sizes[l], m = sizes[l + 1];
        unit -= (size_t)n * m;
        weight -= (size_t)(k + has_bias[l]) * m;
        if (fused && l == last) {
        } else if (kinds[l] == SOFTMAX) {
            for (int s = 0; s < n; s++) softmax_row_through(a + unit + (size_t)s * m, ct + (size_t)s * m, m);
        } else {
            through(kinds[l], parameters[l], at_zeros[l], z + unit, a + unit, ct, n * m);
        }
        memcpy(ct_z + unit, ct, (size_t)n * m * sizeof(real));
        const real *w = params + weight, *a_prev = l ? a + unit - (size_t)n * k : inputs;
        real *gw = grads + weight, *gb = has_bias[l] ? gw + (size_t)k * m : NULL;
        product_back(a_prev, w, ct_z + unit, gw, gb, l ? ct : ct_inputs, n, k, m);
        if (l2 != 0) value += decay((real)l2, w, gw, (size_t)(k + (has_bias[l] && l2_on_bias)) * m);
    }
    return value;
}
