# Is a late departure made good in the air? Least squares of the delay at arrival on the delay at departure and the
# distance. Done over blocks of rows: lm() would make five copies of its columns, which is our workspace and not
# onecopy's, but twenty million rows of it are gigabytes.
library(onecopy)
source("worker.R")

flights <- attaching(attachShared(name = "flights"))

xx <- matrix(0, 3, 3, dimnames = rep(list(c("(Intercept)", "dep_delay", "distance")), 2))
xy <- numeric(3)
for (from in seq(1, nrow(flights), by = 250000)) {
  rows <- from:min(from + 249999, nrow(flights))
  y <- flights$arr_delay[rows]
  x <- cbind(1, flights$dep_delay[rows], flights$distance[rows])
  known <- !is.na(y) & !is.na(x[, 2])
  xx <- xx + crossprod(x[known, ])
  xy <- xy + crossprod(x[known, ], y[known])
}
fit <- solve(xx, xy)[, 1]
answer(fit, "regression")
finish()

cat(sprintf("  an hour late at departure is %.0f minutes late at arrival, after 1000 miles\n",
            sum(fit * c(1, 60, 1000))))
