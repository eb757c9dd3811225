"""Which routes are the busiest, and how long does one sit in the plane?"""

import onecopy
from worker import answer, attaching, finish

flights = attaching(lambda: onecopy.attach(name="flights"))

routes = flights.groupby(["origin", "dest"], observed=True)["air_time"].agg(["size", "mean"])
busiest = routes.sort_values("size", ascending=False).head(10)
answer("busiest routes", {f"{a}-{b}": n for (a, b), n in busiest["size"].items()})
answer("air time", {f"{a}-{b}": minutes for (a, b), minutes in busiest["mean"].items()})
finish()

for (origin, dest), (flown, minutes) in busiest.head(3).iterrows():
    print(f"  {origin} to {dest}: {flown:9,.0f} flights, {minutes:3.0f} minutes in the air")
