"""The page to paint on: paint.py."""
