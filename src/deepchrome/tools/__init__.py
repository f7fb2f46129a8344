"""Commands beside the pipeline, one a module."""
