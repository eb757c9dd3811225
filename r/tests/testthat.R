library(testthat)
library(onecopy)
test_check("onecopy")
