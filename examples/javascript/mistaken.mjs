// The network with a common mistake, to see it named: on the way back the hidden activation is forgotten.

import { MLP } from "./mlp.mjs";
import { serve } from "./serve.mjs";

class Mistaken extends MLP {
  throughLayer(weights, ctZ) {
    return super.throughLayer(weights, ctZ, new this.Numbers(weights.length), { derivative: () => 1 });
  }
}

await serve(Mistaken);
