"""Numerics of the correction, as pure functions on plain numpy blocks (frame, y, x).

In the order of use: the background of each frame (`background`), the intensity trace above
it (`trace`), the decay fitted to the trace (`decay`), the factors derived from it (`estimate`) and
the corrected frames (`bleaching`). `denoise` stands apart.
"""
