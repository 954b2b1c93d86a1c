"""How right: error rates of the verdicts and diagnoses, accuracy of the gradients, and what the vectors catch."""
