# Which airlines are late? Mean delay at arrival by carrier, with the airlines' names from a table of our own.
library(onecopy)
source("worker.R"); source("load.R")

flights <- attaching(attachShared(name = "flights"))

late <- tapply(flights$arr_delay, flights$carrier, mean, na.rm = TRUE)
answer(late, "delay by carrier")
answer(c(worst = max(flights$arr_delay, na.rm = TRUE), cancelled = sum(is.na(flights$dep_time))), "extremes")
finish()

airlines <- loadAirlines(Sys.getenv("FLIGHTS_DATA"))
worst <- sort(late, decreasing = TRUE)[1:3]
cat(sprintf("  %-28s %5.1f minutes late on average\n", airlines$name[match(names(worst), airlines$carrier)], worst),
    sep = "")
