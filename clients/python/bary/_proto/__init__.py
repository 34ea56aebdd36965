"""The messages of bary.v1: one module per .proto file, made at build time (hatch_build.py)."""
