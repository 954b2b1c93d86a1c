// Update rules: one step of one number p with its gradient g.
//
// `kept` is what a rule keeps of this number from step to step, {} before the first one; steps are counted from 1.

function descent({ learning_rate, weight_decay }, number, p, g) {
  return p - learning_rate * (g + weight_decay * p);
}

/** v = mu v + g, p - rate v; Nesterov's goes on by p - rate (g + mu v) */
function momentum(rule, number, p, g, kept) {
  const mu = rule.momentum;
  const gradient = g + rule.weight_decay * p;
  const pushed = (number > 1 || rule.dampen_first ? 1 - rule.dampening : 1) * gradient;
  const { velocity = 0 } = kept;
  if (rule.rate_inside) {
    kept.velocity = mu * velocity - rule.learning_rate * pushed;
    return p + (rule.nesterov ? mu * kept.velocity - rule.learning_rate * gradient : kept.velocity);
  }
  kept.velocity = mu * velocity + pushed;
  return p - rule.learning_rate * (rule.nesterov ? gradient + mu * kept.velocity : kept.velocity);
}

const average = (decay, before, now) => decay * before + (1 - decay) * now;

/** p - rate m / (sqrt(v) + epsilon); m and v are averages of g and g^2, corrected for beginning at 0 */
function adam(rule, number, p, g, kept) {
  const { learning_rate, weight_decay, beta1, beta2 } = rule;
  const gradient = rule.decoupled ? g : g + weight_decay * p;
  const { mean = 0, square = 0 } = kept;
  kept.mean = average(beta1, mean, gradient);
  kept.square = average(beta2, square, gradient * gradient);
  const [lack1, lack2] = rule.bias_correction ? [1 - beta1 ** number, 1 - beta2 ** number] : [1, 1];
  const epsilon = rule.epsilon_uncorrected ? rule.epsilon / Math.sqrt(lack2) : rule.epsilon;
  const moved = kept.mean / lack1 / root(kept.square / lack2, epsilon, rule.epsilon_inside);
  return p - learning_rate * moved - (rule.decoupled ? learning_rate * weight_decay * p : 0);
}

/** p - rate g / (sqrt(s) + epsilon); s is an average of g^2, less the square of that of g where it is centred */
function rmsprop(rule, number, p, g, kept) {
  const gradient = g + rule.weight_decay * p;
  const { mean = 0, square = 0, velocity = 0 } = kept;
  kept.square = average(rule.decay, square, gradient * gradient);
  kept.mean = average(rule.decay, mean, gradient);
  const spread = rule.centred ? kept.square - kept.mean * kept.mean : kept.square;
  kept.velocity = rule.momentum * velocity + gradient / root(spread, rule.epsilon, rule.epsilon_inside);
  return p - rule.learning_rate * kept.velocity;
}

const root = (square, epsilon, inside) => (inside ? Math.sqrt(square + epsilon) : Math.sqrt(square) + epsilon);

/** By the names that vectors have; all their numbers and choices are given. */
export const RULES = { descent, momentum, nesterov: momentum, adam, adamw: adam, rmsprop };
