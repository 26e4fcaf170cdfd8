"""Distances and scores of sets of features: pure functions of rows or of what was summed over them."""
