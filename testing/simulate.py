"""Random consensus schedules from seeds: `python -m testing.simulate --seeds N --start S`.

Prints one hash per run, over everything that happened in it; the same seed gives the same hash.
"""

import argparse
import sys

from testing.engines import run, schedule_of
from testing.rules import RuleBroken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testing.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run (200)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (0)")
    options = parser.parse_args()
    broken = 0
    for seed in range(options.start, options.start + options.seeds):
        schedule = schedule_of(seed)
        try:
            outcome = run(schedule)
        except RuleBroken as error:
            broken += 1
            print(f"{seed} BROKEN {error}\n  {schedule}")
            continue
        rounds = ",".join(str(round) for round in outcome.rounds)
        print(f"{seed} {outcome.digest} rounds {rounds} evidence {len(outcome.evidence)}")
    print(f"{options.seeds} schedules, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
