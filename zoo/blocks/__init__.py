"""Volumes larger than the memory: blocks of them, on one computer or many, with the labels of the whole."""
