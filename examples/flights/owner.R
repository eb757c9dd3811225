# Reads the flights, answers every question in plain R on the plain table, shares the table once, drops its own copy,
# and keeps the shared one until standard input ends.
library(onecopy)
source("load.R"); source("worker.R")
say <- function(...) cat(sprintf(...), "\n", sep = "", file = stderr())
seconds <- function(expression) system.time(expression)[["elapsed"]]

folder <- Sys.getenv("FLIGHTS_DATA")
times <- as.integer(Sys.getenv("FLIGHTS_TIMES"))
say("   R reads the tables")
base <- loadFlights(folder)

# Repeating rows changes counts, by that factor, and neither means nor coefficients; so plain R works on the base table.
known <- base[!is.na(base$arr_delay), ]
route <- paste(base$origin, base$dest, sep = "-")
flown <- sort(table(route), decreasing = TRUE)[1:10]
answer(tapply(base$arr_delay, base$carrier, mean, na.rm = TRUE), "delay by carrier")
answer(c(worst = max(base$arr_delay, na.rm = TRUE), cancelled = times * sum(is.na(base$dep_time))), "extremes")
answer(setNames(times * as.numeric(flown), names(flown)), "busiest routes")
answer(tapply(base$air_time, route, mean, na.rm = TRUE)[names(flown)], "air time")
byHour <- tapply(base$dep_delay, base$hour, mean, na.rm = TRUE)
answer(byHour[!is.na(byHour)], "delay by hour")
answer(coef(lm(arr_delay ~ dep_delay + distance, data = known)), "regression")

sending <- seconds(copied <- unserialize(serialize(base, NULL, xdr = FALSE)))
rm(known, route, copied)

say("   R repeats them %d times", times)
flights <- repeatRows(base, times)
answer(c(rows = nrow(flights), columns = ncol(flights), r_bytes = as.numeric(object.size(flights)),
         sending_seconds = sending, sending_rows = nrow(base)), "table")

say("   R shares %s rows", format(nrow(flights), big.mark = ","))
sharing <- seconds(shared <- share(flights, name = "flights"))
stopifnot(is.shared(shared))
if (times == 1) stopifnot(identical(shared, flights))
rm(flights, base)
answer(c(seconds = sharing), "sharing")
file.create(file.path(Sys.getenv("FLIGHTS_OUT"), "shared"))
invisible(readLines(file("stdin")))
