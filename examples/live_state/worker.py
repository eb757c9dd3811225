"""Changes the state until its input is closed; prints how many steps it has done, now and then."""

import random
import select
import sys
import time

import onecopy


@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    baz: onecopy.int32 = 0


def step(state: Foo, dawdle: bool) -> None:
    with state.locked(timeout=60) as held:
        if held.owner_died:
            state.baz = -state.bar
            held.repaired()
            print("repaired", flush=True)
        state.bar += 1
        if dawdle:
            time.sleep(0.003)
        state.baz -= 1


def main() -> None:
    state = Foo.open(sys.argv[1], create=True)
    steps = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        step(state, dawdle=random.random() < 0.2)
        steps += 1
        if steps % 10 == 0:
            print("steps", steps, flush=True)
        time.sleep(0.001)
    print("done", steps, flush=True)


main()
