"""Training by Mixed Preference Optimization: the pure objective, the data, the step and the trainer."""
