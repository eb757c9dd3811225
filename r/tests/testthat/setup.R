# The tests use a store of their own, so that they neither see nor disturb anything else of this user.
if (!nzchar(Sys.getenv("ONECOPY_DIR"))) {
  test_store <- tempfile("onecopy-test-", "/dev/shm")
  Sys.setenv(ONECOPY_DIR = test_store)
  reg.finalizer(globalenv(), function(e) remove_store(test_store), onexit = TRUE)
}
