// Functions that `Math` lacks.

/** The sum of term(x, k) over the entries x. */
export const sum = (values, term = (x) => x) => values.reduce((total, x, k) => total + term(x, k), 0);

/** total += factor * values, entry by entry. */
export const addMultiple = (total, factor, values) => values.forEach((x, k) => (total[k] += factor * x));

/** 1 / (1 + exp(-z)), by the exponential that does not overflow. */
export function sigmoid(z) {
  const e = Math.exp(-Math.abs(z));
  return z > 0 ? 1 / (1 + e) : e / (1 + e);
}

/** log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)) */
export const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/** log(cosh(x)) = |x| + log(1 + exp(-2|x|)) - log 2, and where that cancels log(1 + 2 sinh(x/2)^2) */
export function logCosh(x) {
  const size = Math.abs(x);
  return size < 1 ? Math.log1p(2 * Math.sinh(size / 2) ** 2) : size + Math.log1p(Math.exp(-2 * size)) - Math.LN2;
}

/** Phi(z), the normal distribution function. */
export const normalDistribution = (z) => erfc(-z / Math.SQRT2) / 2;

/** phi(z), its derivative. */
export const normalDensity = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

const SERIES_BELOW = 0.5; // further out 1 - erf loses digits, and the fraction needs fewer terms

/** The error function. */
export function erf(x) {
  if (Math.abs(x) < SERIES_BELOW) return series(x);
  return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
}

/** The complementary error function 1 - erf(x), with all its digits where it is small. */
export function erfc(x) {
  if (Math.abs(x) < SERIES_BELOW) return 1 - series(x);
  if (x < 0) return 2 - erfc(-x);
  return gaussian(x) * fraction(x);
}

/** erf(x) = 2/sqrt(pi) sum over n of (-1)^n x^(2n+1) / (n! (2n+1)): https://dlmf.nist.gov/7.6.E1 */
function series(x) {
  let power = x; // (-1)^n x^(2n+1) / n!
  let total = x;
  for (let n = 1; Math.abs(power) > Number.EPSILON * Math.abs(total); n++) {
    power *= (-x * x) / n;
    total += power / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

/** exp(x^2) erfc(x) = 1/sqrt(pi) 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))): https://dlmf.nist.gov/7.9.E1, reduced */
function fraction(x) {
  let tail = x;
  for (let k = Math.ceil(10 + 200 / (x * x)); k > 0; k--) tail = x + k / 2 / tail;
  return 1 / (Math.sqrt(Math.PI) * tail);
}

/** exp(-x^2). The square of h, which has 24 bits, is exact; that of x would round, and exp magnifies what is lost. */
function gaussian(x) {
  if (x > 28) return 0; // less than the smallest number
  const h = Math.fround(x);
  return Math.exp(-h * h) * Math.exp((h - x) * (h + x));
}
