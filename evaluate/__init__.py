"""Scores against a truth, measurements in um, and the report."""
