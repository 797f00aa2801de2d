"""Completion: complete.py."""
