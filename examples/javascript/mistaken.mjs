// The network with a common mistake, to see it named: on the way back the hidden activation is forgotten.

import { MLP } from "./mlp.mjs";
import { serve } from "./serve.mjs";

class Mistaken extends MLP {
  throughHidden(activation, tape, ctA) {
    return ctA;
  }
}

await serve(Mistaken);
