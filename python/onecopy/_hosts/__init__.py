"""One copy on each of several hosts: what Dask, Ray and MPI need for it."""
