# The tests use a store of their own, so that they neither see nor disturb anything else of this user.
if (!nzchar(Sys.getenv("ONECOPY_DIR"))) {
  test_store <- tempfile("onecopy-test-", "/dev/shm")
  Sys.setenv(ONECOPY_DIR = test_store)
  withr_free_cleanup <- function() unlink(test_store, recursive = TRUE)
  reg.finalizer(globalenv(), function(e) withr_free_cleanup(), onexit = TRUE)
}
