"""Fuzzing of every parser and door: `python -m fuzz`, with tests/ and src/ on the path.

It lies among the tests because it makes its inputs as they do, and a short run of it is one.
"""
