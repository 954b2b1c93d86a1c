/* The moons classifier, 2-25-50-25-2, all sigmoid, one sample at a time, as fast as plain loops in C go: the limit that
   the other programs of the benchmark are compared with. Compiled with gcc -O3 -march=native -ffast-math.

   NETS networks are trained at once, 1 or the width of a vector: a `real` then holds one number of each of them. Flat
   parameters hold the layers one after the other, weights (fan_in, fan_out) row by row, then bias.
   Loss = 1/2 sum (o - t)^2 over the outputs of a sample.

   No pointer is declared restrict: gcc 12 then moves loads over stores of the layer before. */

#include <math.h>

#ifndef NETS
#define NETS 1
#endif
#if NETS == 1
typedef float real;
#else
typedef float real __attribute__((vector_size(4 * NETS)));
#endif
enum { LAYERS = 4, WIDEST = 50 };

#define INLINE static inline __attribute__((always_inline))

INLINE void sigmoid(const real *z, real *a, int count) {
    const float *from = (const float *)z;
    float *to = (float *)a;
    for (int j = 0; j < count * NETS; j++) to[j] = 1 / (1 + expf(-from[j]));
}

INLINE void forward(int fan_in, int fan_out, const real *w, const real *b, const real *a_prev, real *a) {
    real z[WIDEST];
    for (int j = 0; j < fan_out; j++) z[j] = b[j];
    for (int i = 0; i < fan_in; i++) {
        const real factor = a_prev[i];
        for (int j = 0; j < fan_out; j++) z[j] += factor * w[i * fan_out + j];
    }
    sigmoid(z, a, fan_out);
}

/* ct of a in, ct of a_prev out, by the weights of the forward pass; each row of them is changed as soon as it is read */
INLINE void backward(
    int fan_in, int fan_out, real *w, real *b, const real *a_prev, const real *a, real *ct, float rate) {
    real ct_z[WIDEST];
    for (int j = 0; j < fan_out; j++) ct_z[j] = ct[j] * a[j] * (1 - a[j]);
    for (int i = 0; i < fan_in; i++) {
        const real factor = rate * a_prev[i];
        real total = {0};
        for (int j = 0; j < fan_out; j++) {
            const real weight = w[i * fan_out + j];
            total += ct_z[j] * weight;
            w[i * fan_out + j] = weight - factor * ct_z[j];
        }
        ct[i] = total;
    }
    for (int j = 0; j < fan_out; j++) b[j] -= rate * ct_z[j];
}

/* params (2752) in place; inputs (samples, 2), targets (samples, 2), the same for every network */
void train(float *params, const float *inputs, const float *targets, int samples, int epochs, double learning_rate) {
    static const int sizes[] = {2, 25, 50, 25, 2};
    const float rate = (float)learning_rate;
    real a[LAYERS + 1][WIDEST], ct[WIDEST];
    for (int step = 0; step < samples * epochs; step++) {
        const float *input = &inputs[step % samples * sizes[0]], *target = &targets[step % samples * sizes[LAYERS]];
        real *w = (real *)params;
        for (int i = 0; i < sizes[0]; i++) a[0][i] = input[i] - (real){0};
#pragma GCC unroll 4
        for (int l = 0; l < LAYERS; l++) {
            real *b = w + sizes[l] * sizes[l + 1];
            forward(sizes[l], sizes[l + 1], w, b, a[l], a[l + 1]);
            w = b + sizes[l + 1];
        }
        for (int j = 0; j < sizes[LAYERS]; j++) ct[j] = a[LAYERS][j] - target[j];
#pragma GCC unroll 4
        for (int l = LAYERS - 1; l >= 0; l--) {
            real *b = w - sizes[l + 1];
            w = b - sizes[l] * sizes[l + 1];
            backward(sizes[l], sizes[l + 1], w, b, a[l], a[l + 1], ct, rate);
        }
    }
}
