"""Arrays and frames, and the messages they travel in.

A row-major array is copied once on its way out, into the message, because a message owns its
bytes; a column-major one is brought into row order chunk by chunk, never as a whole. What comes
back is a view of the message's bytes, read-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from bary import errors
from bary._proto import types_pb2 as types

INLINE_BYTES_MAX = 3 << 20
CHUNK_BYTES = 1 << 20

Number: TypeAlias = np.generic
Array: TypeAlias = npt.NDArray[Number]

DTYPES: Mapping[np.dtype[Number], types.DType] = {
    np.dtype(np.float32): types.DTYPE_F32,
    np.dtype(np.float64): types.DTYPE_F64,
    np.dtype(np.float16): types.DTYPE_F16,
    np.dtype(np.int8): types.DTYPE_I8,
    np.dtype(np.int16): types.DTYPE_I16,
    np.dtype(np.int32): types.DTYPE_I32,
    np.dtype(np.int64): types.DTYPE_I64,
    np.dtype(np.uint8): types.DTYPE_U8,
    np.dtype(np.uint16): types.DTYPE_U16,
    np.dtype(np.uint32): types.DTYPE_U32,
    np.dtype(np.uint64): types.DTYPE_U64,
    np.dtype(np.bool_): types.DTYPE_BOOL,
}
_NUMPY = {number: dtype for dtype, number in DTYPES.items()}


def dtype_number(array: Array, what: str) -> types.DType:
    """Return the wire's name of an array's dtype; TypeError for one that it has no name for."""
    number = DTYPES.get(array.dtype.newbyteorder("="))
    if number is None:
        known = ", ".join(str(dtype) for dtype in DTYPES)
        raise TypeError(f"{what} has dtype {array.dtype}; it must be one of {known}")
    return number


def row_bytes(array: Array, first: int, count: int) -> Array:
    """Rows [first, first + count) in row-major, little-endian memory: a view where they are."""
    rows = array[first : first + count]
    return np.ascontiguousarray(rows, dtype=array.dtype.newbyteorder("<"))


def to_matrix(array: Array, what: str) -> types.Matrix:
    """One message that holds a 1-d or 2-d array."""
    number = dtype_number(array, what)
    columns = array.shape[1] if array.ndim == 2 else 0
    data = row_bytes(array, 0, len(array)).tobytes()
    return types.Matrix(dtype=number, rows=array.shape[0], columns=columns, data=data)


def from_matrix(matrix: types.Matrix) -> Array:
    """A read-only view of a message's array: 2-d, or 1-d where columns is 0."""
    dtype = _NUMPY.get(matrix.dtype)
    if dtype is None:
        raise errors.UnknownValueError(f"the answer has dtype number {matrix.dtype}, unknown here")
    flat = np.frombuffer(matrix.data, dtype=dtype.newbyteorder("<"))
    return flat.reshape(matrix.rows, matrix.columns) if matrix.columns else flat


@dataclass(frozen=True)
class Part:
    """One column of a block: values of shape (rows, width)."""

    name: str
    values: Array


class Block:
    """Rows to send: one unnamed matrix, or named columns.

    Parameters
    ----------
    parts : list of Part
        Columns with the same number of rows, each of shape (rows, width).
    named : bool
        Whether the columns are a table's; otherwise the first part is a matrix.
    """

    def __init__(self, parts: list[Part], *, named: bool) -> None:
        self.parts = parts
        self.named = named
        self.rows: int = parts[0].values.shape[0]
        self.columns: int = sum(part.values.shape[1] for part in parts)
        self.bytes_per_row: int = sum(
            part.values.dtype.itemsize * part.values.shape[1] for part in parts
        )
        self.bytes: int = self.rows * self.bytes_per_row

    def schema(self) -> types.Schema:
        """Names, dtypes and widths, as the wire has them."""
        return types.Schema(
            columns=[
                types.Column(
                    name=part.name,
                    dtype=dtype_number(part.values, f"column '{part.name}'"),
                    width=part.values.shape[1],
                )
                for part in self.parts
            ]
        )

    def slices(self, first: int, count: int) -> list[Array]:
        """The bytes of a run of rows: column after column, each contiguous."""
        return [row_bytes(part.values, first, count) for part in self.parts]

    def inline(self, first: int = 0, count: int | None = None) -> types.Source:
        """A source that carries these rows itself."""
        rows = self.rows - first if count is None else count
        if not self.named:
            return types.Source(matrix=to_matrix(self.parts[0].values[first : first + rows], "X"))
        data = [part.tobytes() for part in self.slices(first, rows)]
        return types.Source(table=types.Table(schema=self.schema(), rows=rows, data=data))

    def chunks(self, bytes_max: int = CHUNK_BYTES) -> Iterator[tuple[int, int]]:
        """First row and row count of chunks of at most `bytes_max`, or of one row."""
        step = max(1, bytes_max // max(1, self.bytes_per_row))
        for first in range(0, self.rows, step):
            yield first, min(step, self.rows - first)

    def with_column(self, name: str, values: Array) -> tuple[Block, str]:
        """The same rows with one more column; its name gets underscores until it is unique."""
        taken = {part.name for part in self.parts}
        while name in taken:
            name += "_"
        parts = [*self.parts, Part(name, values.reshape(-1, 1))]
        return Block(parts, named=self.named), name


def as_block(X: npt.ArrayLike) -> Block:
    """Rows out of an array, or the named columns of a pandas, polars or Arrow table.

    Raises
    ------
    TypeError
        Sparse input, or values that are no numbers.
    bary.errors.ShapeMismatchError
        Not two-dimensional, or without rows or columns.
    """
    if hasattr(X, "tocsr"):
        raise TypeError("X is sparse; Bary takes dense rows, use X.toarray()")
    columns = _frame_columns(X)
    if columns is not None:
        return _checked(Block(columns, named=True)) if columns else _no_columns(X)
    array = np.asarray(X)
    if array.ndim != 2:
        found = f"{array.ndim} dimension" + ("" if array.ndim == 1 else "s")
        raise errors.ShapeMismatchError(
            f"X has {found}; it must have 2", {"what": "X", "found": found, "expected": "2"}
        )
    dtype_number(array, "X")
    return _checked(Block([Part("x", array)], named=False))


def _checked(block: Block) -> Block:
    if block.rows == 0 or block.columns == 0:
        found = f"{block.rows} rows and {block.columns} columns"
        raise errors.ShapeMismatchError(
            f"X has {found}; it must have at least one of each",
            {"what": "X", "found": found, "expected": "at least one of each"},
        )
    return block


def _no_columns(X: npt.ArrayLike) -> Block:
    return _checked(Block([Part("", np.empty((0, 0)))], named=True))


def _frame_columns(X: object) -> list[Part] | None:
    """The columns of a table by name; None when X is no table."""
    names = getattr(X, "column_names", None)  # pyarrow
    if names is None:
        names = getattr(X, "columns", None)  # pandas, polars
    if names is None or not hasattr(X, "__getitem__") or isinstance(X, np.ndarray):
        return None
    parts = []
    for name in names:
        series = X[name]
        values = cast(Array, np.asarray(series.to_numpy()))
        if values.ndim != 1:
            raise TypeError(f"column '{name}' is not one-dimensional")
        dtype_number(values, f"column '{name}'")
        parts.append(Part(str(name), values.reshape(-1, 1)))
    return parts


def as_weights(weights: npt.ArrayLike, rows: int) -> Array:
    """One float a row."""
    array = np.asarray(weights)
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        array = array.astype(np.float64)
    if array.shape != (rows,):
        raise errors.ShapeMismatchError(
            f"sample_weight has shape {array.shape}; it must have ({rows},)",
            {"what": "sample_weight", "found": str(array.shape), "expected": f"({rows},)"},
        )
    return cast(Array, array)
