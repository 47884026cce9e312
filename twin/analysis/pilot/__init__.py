"""Pilots: what a utility that randomises transformers to arms would estimate, and how that compares with the truth."""
