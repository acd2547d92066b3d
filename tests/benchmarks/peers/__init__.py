"""The systems that do the same job: correct a series for bleaching, from a file into another.

Each module has a function ``correct(source, output)``. All but flimage and ours share the arithmetic of
`arithmetic`, so that what differs is how the frames are read and written.
"""

OURS = "flimage_dask"
FLIMAGE = "flimage 0.3.3"
DASK = "dask script"
ZARR = "zarr 3 + dask"
H5PY = "h5py loop"
CODEC = "codec alone"
DISK = "disk alone"
