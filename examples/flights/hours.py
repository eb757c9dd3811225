"""When to fly: the mean delay at departure by scheduled hour. And R's regression once more, with NumPy."""

import numpy as np

import onecopy
from worker import answer, attaching, finish

flights = attaching(lambda: onecopy.attach(name="flights"))

delay = flights.groupby("hour")["dep_delay"].mean().dropna()
answer("delay by hour", {f"{hour:.0f}": minutes for hour, minutes in delay.items()})

dep, arr, distance = (flights[name].to_numpy() for name in ("dep_delay", "arr_delay", "distance"))
xx, xy = np.zeros((3, 3)), np.zeros(3)
for start in range(0, len(dep), 250_000):
    block = slice(start, start + 250_000)
    known = ~(np.isnan(dep[block]) | np.isnan(arr[block]))
    x = np.column_stack([np.ones(known.sum()), dep[block][known], distance[block][known]])
    xx += x.T @ x
    xy += x.T @ arr[block][known]
answer("regression", dict(zip(["(Intercept)", "dep_delay", "distance"], np.linalg.solve(xx, xy))))
finish()

print(f"  leave at {delay.idxmin():.0f} o'clock ({delay.min():.0f} minutes late on average), "
      f"not at {delay.idxmax():.0f} ({delay.max():.0f})")
