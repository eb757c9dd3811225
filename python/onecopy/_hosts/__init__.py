"""One copy on each of several hosts: what Dask and MPI need for it."""
