"""The page: paint.py."""
