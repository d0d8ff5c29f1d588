"""How good a model is: accuracy on held-out problems, with what the number of problems allows to say of it."""
