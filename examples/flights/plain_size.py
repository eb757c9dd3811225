"""Prints how many bytes the flights take as a pandas table of a process's own."""

import os
from pathlib import Path

import pandas

folder, times = Path(os.environ["FLIGHTS_DATA"]), int(os.environ["FLIGHTS_TIMES"])
flights = pandas.read_csv(folder / "flights.csv.zip", parse_dates=["time_hour"])
print(int(flights.memory_usage(deep=True).sum()) * times)
