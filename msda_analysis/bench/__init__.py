"""Timings, as rows: parity first, then warm-up, repeats, median and spread."""
