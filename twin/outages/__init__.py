"""Interruptions of supply: when they happen, how long they last, and what demand does after them."""
