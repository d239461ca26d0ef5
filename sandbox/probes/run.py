#!/usr/bin/env python3
"""Runs every probe outside any sandbox first, then in sandboxes, as two tenants at once, and says which got through.

    run.py [--launcher native|restricted|bwrap]... [--only NAME]... [--json FILE] [--list]

A probe that does not get through outside, where it should, proves nothing on this host and is shown as `unproven`.
Exit 1 when one gets out of a sandbox that should hold it, or when fewer than 60 are proven. Needs root, for the uids.
"""

import argparse
import concurrent.futures
import importlib
import json
import pathlib
import sys

PROBES = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(PROBES), str(PROBES.parent)]

import probe  # noqa: E402
from judges import JUDGES  # noqa: E402
from launchers import LAUNCHERS, outside  # noqa: E402
from worlds import CATEGORIES, World  # noqa: E402

PROVEN_MIN = 60

# What the others do not hold, and why it is no surprise. The native launcher has no such list.
KNOWN = {
    "restricted": {
        "much_memory_in_children": "no cgroup: the limit is one of each process",
        "much_anonymous_file": "no cgroup",
        "disk_of_the_box": "the host's disk, bounded by file",
        "disk_of_tmp": "the same",
        "inodes_of_the_box": "the same",
        "inodes_of_tmp": "the same",
        "all_processors": "no cgroup",
        "host_name": "the host's uts namespace",
        "regain_capabilities": "only root may empty the bounding set; no-new-privileges keeps it out of reach",
        "pipes": "no cgroup",
        "memory_by_file_systems": "the host's disk",
    },
    "bwrap": {
        "inodes_of_the_box": "it cannot set a number of inodes",
        "inodes_of_tmp": "the same",
        "inodes_of_shared_memory": "the same",
        "inherited_environment": "its pid 1 keeps the caller's environment",
        "descriptors_of_the_parent": "its pid 1 can be looked into",
        "memory_of_the_parent": "the same",
        "kernel_information": "it shows a whole /proc",
    },
}


def attempt(runner, world, wanted):
    """(got through, how it went). A run that did not even try counts as neither."""
    world.refresh()
    world.inside = runner is not outside
    run = runner(world, wanted)
    if b"TRY " + wanted.name.encode() not in run.stdout:
        # One line alone may be lost to a flood or to an end by force, never a whole run.
        raise RuntimeError(f"{wanted.name} did not run: {run.stdout[-500:]!r} {run.records}")
    return JUDGES[wanted.judge](world, run), run


def run_all(names, launchers):
    worlds = [World(0), World(1)]
    results = {}
    try:
        for world in worlds:
            world.start_victim()
            world.start_neighbour()
        for world, other in zip(worlds, reversed(worlds)):
            world.other_pids = [other.victim.pid]
        for number, name in enumerate(names):
            wanted = probe.PROBES[name]
            row = results[name] = {"category": wanted.category}
            row["outside"], run = attempt(outside, worlds[0], wanted)
            worlds[0].sweep()
            if not row["outside"]:
                row["why"] = run.stdout[-200:].decode(errors="replace").strip().replace("\n", " | ")
            for launcher in launchers:
                with concurrent.futures.ThreadPoolExecutor(2) as pool:
                    tenants = [pool.submit(attempt, LAUNCHERS[launcher], world, wanted) for world in worlds]
                    row[launcher] = [tenant.result()[0] for tenant in tenants]
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{len(names)} {name:40}", end="", file=sys.stderr, flush=True)
    finally:
        for world in worlds:
            world.close()
    return results


def word(row, launcher):
    if launcher == "outside":
        return "succeeds" if row["outside"] else "unproven"
    return "ESCAPED" if any(row[launcher]) else "contained"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launcher", action="append", choices=LAUNCHERS)
    parser.add_argument("--only", action="append")
    parser.add_argument("--json")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    for category in CATEGORIES:
        importlib.import_module(category)
    names = arguments.only or list(probe.PROBES)
    if arguments.list:
        for name in names:
            print(f"{probe.PROBES[name].category:12} {name:40} {(probe.PROBES[name].function.__doc__ or '').strip()}")
        return 0
    launchers = arguments.launcher or ["native"]
    results = run_all(names, launchers)
    print(f"{'probe':42}{'category':14}{'outside':12}" + "".join(f"{launcher:13}" for launcher in launchers))
    for name, row in results.items():
        print(
            f"{name:42}{row['category']:14}{word(row, 'outside'):12}" + "".join(f"{word(row, l):13}" for l in launchers)
        )
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1))
    proven = [name for name, row in results.items() if row["outside"]]
    print(
        f"{len(results)} probes, {len(proven)} proven outside; "
        + ", ".join(
            f"{launcher}: {sum(not any(row[launcher]) for row in results.values())} contained twice at once"
            for launcher in launchers
        )
    )
    escaped = [
        (launcher, name)
        for launcher in launchers
        for name, row in results.items()
        if any(row[launcher]) and name not in KNOWN.get(launcher, {})
    ]
    for launcher, name in escaped:
        print(f"{launcher}: {name} got through", file=sys.stderr)
    return 1 if escaped or (not arguments.only and len(proven) < PROVEN_MIN) else 0


if __name__ == "__main__":
    sys.exit(main())
