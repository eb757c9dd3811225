# Runs an expression in a fresh R process and returns its value; the process attaches to what it is given.
in_child <- function(f, args = list()) {
  skip_if_not_installed("callr")
  callr::r(f, args, libpath = .libPaths())
}

# Private memory of this process in bytes: what it does not share with anyone.
private_memory <- function() {
  gc(FALSE)
  lines <- readLines("/proc/self/smaps_rollup")
  field <- function(name) as.numeric(gsub("[^0-9]", "", grep(paste0("^", name, ":"), lines, value = TRUE))) * 1024
  field("Private_Dirty") + field("Private_Clean")
}

wire_size <- function(x) length(serialize(x, NULL))

expect_same <- function(x, y) {
  expect_true(identical(x, y))
  expect_identical(attributes(x), attributes(y))
}

live_ids <- function() listSharedObjects()$Id
