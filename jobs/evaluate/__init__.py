"""Evaluation: evaluate.py."""
