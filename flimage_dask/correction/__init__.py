"""Numerics of the correction, as pure functions on plain numpy blocks (frame, y, x).

In the order of use: the background of each frame (`background`), the intensity trace above
it (`trace`), its units taken off (`scaled`); the families of curves (`models`), the best curve of one
(`separable`, `decay`), with wrong frames held down (`robust`), and the choice among them (`choice`,
`options`); the factors derived from it (`factors`), all of it in one value (`estimate`), which `bleaching` makes of a
trace; and the corrected frames (`applying`). `histogram` and `denoise` stand apart.
"""
