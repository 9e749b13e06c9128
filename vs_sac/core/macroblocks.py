"""Block side and size of the macroblock grid. Imports nothing, so that every folder can use it."""

__all__ = ["BLOCK", "OFFSET_ZERO", "grid_size"]

#: Side of a macroblock in pixels (ITU-T H.264 clause 3, paper Sec. III.C).
BLOCK = 16

#: Value of a macroblock without QP offset in a grid of offsets, whose values are 128 + 2 · offset.
OFFSET_ZERO = 128


def grid_size(width: int, height: int, block: int = BLOCK) -> tuple[int, int]:
    """Return width and height of the block grid of a frame, with partial blocks at the right and bottom edges included.

    >>> grid_size(480, 360)
    (30, 23)
    """
    return -(-width // block), -(-height // block)
