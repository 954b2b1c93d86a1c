/* Backward passes as C programs have them: loops over rows, sums in the order of memory.
   REAL is float or double; every array is dense and row-major. */
#include <math.h>
#include <string.h>

void layer_norm(long n, long d, const REAL *x, const REAL *w, const REAL *dy, REAL *dx, REAL *dw, REAL *db) {
    memset(dw, 0, d * sizeof(REAL));
    memset(db, 0, d * sizeof(REAL));
    for (long i = 0; i < n; i++, x += d, dy += d, dx += d) {
        REAL mean = 0, variance = 0, sum = 0, along = 0;
        for (long j = 0; j < d; j++) mean += x[j];
        mean /= d;
        for (long j = 0; j < d; j++) variance += (x[j] - mean) * (x[j] - mean);
        REAL rstd = 1 / (REAL)sqrt(variance / d + (REAL)1e-5);
        for (long j = 0; j < d; j++) {
            REAL h = (x[j] - mean) * rstd;
            sum += dy[j] * w[j];
            along += dy[j] * w[j] * h;
            dw[j] += dy[j] * h;
            db[j] += dy[j];
        }
        for (long j = 0; j < d; j++) dx[j] = rstd * (dy[j] * w[j] - sum / d - (x[j] - mean) * rstd * along / d);
    }
}

void rms_norm(long n, long d, const REAL *x, const REAL *w, const REAL *dy, REAL *dx, REAL *dw) {
    memset(dw, 0, d * sizeof(REAL));
    for (long i = 0; i < n; i++, x += d, dy += d, dx += d) {
        REAL squares = 0, along = 0;
        for (long j = 0; j < d; j++) squares += x[j] * x[j];
        REAL rstd = 1 / (REAL)sqrt(squares / d + (REAL)1e-6);
        for (long j = 0; j < d; j++) {
            along += dy[j] * w[j] * x[j];
            dw[j] += dy[j] * x[j] * rstd;
        }
        for (long j = 0; j < d; j++) dx[j] = rstd * dy[j] * w[j] - rstd * rstd * rstd / d * along * x[j];
    }
}

void softmax(long n, long d, const REAL *x, const REAL *dy, REAL *dx) {
    for (long i = 0; i < n; i++, x += d, dy += d, dx += d) {
        REAL largest = x[0], sum = 0, along = 0;
        for (long j = 1; j < d; j++) largest = x[j] > largest ? x[j] : largest;
        for (long j = 0; j < d; j++) sum += dx[j] = (REAL)exp(x[j] - largest);
        for (long j = 0; j < d; j++) along += (dx[j] /= sum) * dy[j];
        for (long j = 0; j < d; j++) dx[j] *= dy[j] - along;
    }
}

void gelu_tanh(long n, const REAL *x, const REAL *dy, REAL *dx) {
    const REAL k = (REAL)0.79788456080286535588, c = (REAL)0.044715;
    for (long i = 0; i < n; i++) {
        REAL t = (REAL)tanh(k * (x[i] + c * x[i] * x[i] * x[i])), half = (REAL)0.5;
        dx[i] = dy[i] * (half * (1 + t) + half * x[i] * (1 - t * t) * k * (1 + 3 * c * x[i] * x[i]));
    }
}

void linear(long n, long in, long out, const REAL *x, const REAL *w, const REAL *dy, REAL *dx, REAL *dw, REAL *db) {
    memset(dx, 0, n * in * sizeof(REAL));
    memset(dw, 0, out * in * sizeof(REAL));
    memset(db, 0, out * sizeof(REAL));
    for (long s = 0; s < n; s++)
        for (long o = 0; o < out; o++) {
            REAL g = dy[s * out + o];
            db[o] += g;
            for (long i = 0; i < in; i++) {
                dx[s * in + i] += g * w[o * in + i];
                dw[o * in + i] += g * x[s * in + i];
            }
        }
}

/* one head after another; rows of queries see the keys up to their own */
void causal_attention(long heads, long t, long d, const REAL *q, const REAL *k, const REAL *v, const REAL *dy, REAL *dq,
                      REAL *dk, REAL *dv, REAL *p) {
    REAL scale = 1 / (REAL)sqrt((REAL)d);
    memset(dq, 0, heads * t * d * sizeof(REAL));
    memset(dk, 0, heads * t * d * sizeof(REAL));
    memset(dv, 0, heads * t * d * sizeof(REAL));
    for (long h = 0; h < heads; h++, q += t * d, k += t * d, v += t * d, dy += t * d, dq += t * d, dk += t * d, dv += t * d)
        for (long i = 0; i < t; i++) {
            REAL largest = -INFINITY, sum = 0, delta = 0;
            for (long j = 0; j <= i; j++) {
                p[j] = 0;
                for (long e = 0; e < d; e++) p[j] += q[i * d + e] * k[j * d + e];
                p[j] *= scale;
                largest = p[j] > largest ? p[j] : largest;
            }
            for (long j = 0; j <= i; j++) sum += p[j] = (REAL)exp(p[j] - largest);
            for (long j = 0; j <= i; j++) {
                REAL dp = 0;
                p[j] /= sum;
                for (long e = 0; e < d; e++) dp += dy[i * d + e] * v[j * d + e];
                delta += p[j] * dp;
            }
            for (long j = 0; j <= i; j++) {
                REAL dp = 0;
                for (long e = 0; e < d; e++) dp += dy[i * d + e] * v[j * d + e];
                REAL ds = p[j] * (dp - delta) * scale;
                for (long e = 0; e < d; e++) {
                    dq[i * d + e] += ds * k[j * d + e];
                    dk[j * d + e] += ds * q[i * d + e];
                    dv[j * d + e] += p[j] * dy[i * d + e];
                }
            }
        }
}

void conv1d(long b, long c, long o, long taps, long t, long out, const REAL *x, const REAL *w, const REAL *dy, REAL *dx,
            REAL *dw, REAL *db) {
    memset(dx, 0, b * c * t * sizeof(REAL));
    memset(dw, 0, o * c * taps * sizeof(REAL));
    memset(db, 0, o * sizeof(REAL));
    for (long n = 0; n < b; n++)
        for (long f = 0; f < o; f++)
            for (long s = 0; s < out; s++) {
                REAL g = dy[(n * o + f) * out + s];
                db[f] += g;
                for (long e = 0; e < c; e++)
                    for (long j = 0; j < taps; j++) {
                        long at = 2 * s + j - 1;
                        if (at < 0 || at >= t) continue;
                        dx[(n * c + e) * t + at] += g * w[(f * c + e) * taps + j];
                        dw[(f * c + e) * taps + j] += g * x[(n * c + e) * t + at];
                    }
            }
}
