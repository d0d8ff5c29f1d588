"""Builds preference pairs from judged responses: correctness pairs and format pairs, as the MPO paper does."""
