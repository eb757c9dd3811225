# A shared vector of int64 made in C++; R uses it as bit64's integer64.
shared_fibonacci <- function(n) attachShared(.Call(example_fibonacci, as.double(n)))

# The sum of a shared vector of doubles, computed in C++ where the vector lies.
shared_sum <- function(x) .Call(example_sum, sharedHandle(x))

# A dictionary of arrays of every type that C++ has and R has not.
shared_samples <- function() attachShared(.Call(example_samples))

# What a package written for SharedObject does: allocate, map, write, read, free.
memory_round_trip <- function(number) .Call(example_memory, as.double(number))

# A record, made in C++ if the file is not there yet; R reads and writes its fields visits and total.
tally_at <- function(path) attachRecord(path = .Call(example_tally, path.expand(path)))
