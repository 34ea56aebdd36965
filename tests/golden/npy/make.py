"""Writes the golden .npy files beside it with numpy: python make.py.

The values of each file are listed in tests/unit/data_npy.c; the files are what numpy 1.26 and later
write, so a change of ours that no longer reads them breaks people's data.
"""

import pathlib

import numpy as np
from numpy.lib import format as npy

HERE = pathlib.Path(__file__).parent
GRID = [[0, 1, 2], [3, 4, 5]]


def save(name, array, version=None):
    with open(HERE / f"{name}.npy", "wb") as file:
        npy.write_array(file, array, version=version)


for code in ("<f8", "<f4", "<f2", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"):
    save(f"grid_{code[1:]}", np.array(GRID, dtype=code))
save("grid_b1", np.array([[0, 1, 0], [1, 1, 0]], dtype="|b1"))
save("fortran_f8", np.asfortranarray(np.array(GRID, dtype="<f8")))
save("fortran_i2", np.asfortranarray(np.array(GRID, dtype="<i2")))
save("line_f8", np.array([0.5, -1.5, 2.5, -0.0], dtype="<f8"))
save("version2_f4", np.array(GRID, dtype="<f4"), (2, 0))
save("version3_f4", np.array(GRID, dtype="<f4"), (3, 0))
save("empty_f8", np.zeros((0, 3), dtype="<f8"))
save("fortran_line_f8", np.asfortranarray(np.array([[1.0], [2.0], [3.0]])))

# Three clusters of ten rows around (0, 0), (10, 0) and (0, 10): for examples.
blobs = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]).repeat(10, axis=0)
save("blobs_f8", blobs + np.random.default_rng(1).normal(0, 0.5, blobs.shape).round(3))

# What is refused.
save("scalar", np.array(1.0))
save("cube", np.zeros((2, 2, 2)))
save("big_endian", np.array(GRID, dtype=">f8"))
save("text", np.array(["a", "bc"]))
save("bytes", np.array([b"a", b"bc"]))
save("structure", np.zeros(2, dtype=[("x", "<f4"), ("y", "<i4")]))
save("complex", np.zeros(2, dtype="<c8"))
save("dates", np.zeros(2, dtype="<M8[D]"))
save("no_columns", np.zeros((3, 0)))
with open(HERE / "objects.npy", "wb") as file:
    npy.write_array(file, np.array([1, "a"], dtype=object), allow_pickle=True)
