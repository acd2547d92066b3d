"""How a series lies in an HDF5 file, and how its bytes are read and written."""
