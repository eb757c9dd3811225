# Runs an expression in a fresh R process and returns its value; the process attaches to what it is given.
in_child <- function(f, args = list()) {
  skip_if_not_installed("callr")
  callr::r(f, args, libpath = .libPaths())
}

# unlink() leaves a pager's socket, and so the folders above it.
remove_store <- function(store) system2("rm", c("-rf", shQuote(store)))

# Compiled code that writes into a vector of doubles in place. `how`: 0 asks R for a pointer to write through, 1 for one to
# read only, as Rcpp does from 1.1 on, and 2 leaves it to Rcpp.
compiled <- new.env()
poke_first <- function(x, how) {
  skip_if_not_installed("Rcpp")
  skip_on_cran()
  if (is.null(compiled$poke)) {
    Rcpp::cppFunction("void poke(SEXP x, int how) {
      if (how == 0) REAL(x)[0] = 99;
      if (how == 1) const_cast<double*>(REAL_RO(x))[0] = 99;
      if (how == 2) { Rcpp::NumericVector v(x); v[0] = 99; }
    }", env = compiled)
  }
  compiled$poke(x, how)
}

# What examples/r-linking-to makes: a package that uses onecopy from C++. Not named with `::`, as it is no package that a
# repository has, and R CMD check would look for it there.
example_package <- function() {
  name <- "onecopyexample"
  skip_if_not_installed(name)
  asNamespace(name)
}

# Memory that only this process has, in bytes: its heap, and pages that were copied on write.
private_memory <- function() {
  gc(FALSE)
  lines <- readLines("/proc/self/smaps_rollup")
  as.numeric(gsub("[^0-9]", "", grep("^Anonymous:", lines, value = TRUE))) * 1024
}

wire_size <- function(x) length(serialize(x, NULL))

expect_same <- function(x, y) {
  expect_true(identical(x, y))
  expect_identical(attributes(x), attributes(y))
}

live_ids <- function() listSharedObjects()$Id
