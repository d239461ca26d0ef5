"""Who decides, from outside and from what really happened, whether a probe got through. True means it did.

A judge gets the canary's world and the run (see launchers.py): stdout, stderr, status as the executor would report it,
what the artifacts' channel brought, how long it took.
"""

import os
import pathlib
import time

JUDGES = {}


def judge(function):
    JUDGES[function.__name__] = function
    return function


@judge
def said(world, run):
    """The probe itself, with evidence. It has no reason to lie: whoever hides a success fails outside, too."""
    return any(line.startswith(b"GOT") for line in run.stdout.splitlines())


@judge
def host_passwd(world, run):
    """Any line of the host's own file that the sandbox's does not have."""
    own = (pathlib.Path(__file__).parent.parent / "rootfs/etc/passwd").read_bytes().splitlines()
    host = pathlib.Path("/etc/passwd").read_bytes().splitlines()
    return any(line in run.stdout.splitlines() for line in host if line not in own)


@judge
def written(world, run):
    file = pathlib.Path(world.canary["writable"], "written")
    there = file.exists()
    file.unlink(missing_ok=True)
    return there


@judge
def reached(world, run):
    return world.marker.encode() in run.reached


@judge
def victim_dead(world, run):
    return not world.alive()


@judge
def neighbour_seen(world, run):
    return any(marker.encode() in run.stdout for marker in world.neighbour_markers)


@judge
def cpu_time(world, run):
    """More than one and a quarter processors' worth; with the cgroup's quota it is one."""
    return any(float(line.split()[1]) > 1.25 * 1.5 for line in run.stdout.splitlines() if line.startswith(b"CPU"))


@judge
def outlived(world, run):
    return b"OUTLIVED" in run.stdout


@judge
def flood(world, run):
    """More than the executor takes before it ends a run, and what one read may add to it."""
    return run.output_bytes >= 32 << 20


@judge
def survivor(world, run):
    """A process of that name after the run is over. Whatever is found is ended."""
    time.sleep(0.2)
    found = False
    for entry in os.listdir("/proc"):
        try:
            if (
                entry.isdigit()
                and f"{world.marker}-daemon".encode() in pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
            ):
                found = True
                os.kill(int(entry), 9)
        except OSError:
            continue
    return found


@judge
def delayed(world, run):
    return run.seconds > 3


@judge
def left_files(world, run):
    found = False
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/box"):
        path = pathlib.Path(folder, f"{world.marker}-left")
        found |= path.exists()
        path.unlink(missing_ok=True)
    return found


@judge
def forged(world, run):
    """The program ends with 7, whatever else anybody reads."""
    return run.status_says == 0


@judge
def hostile_bytes(world, run):
    """Outside a reader of text breaks on them and loses what follows."""
    return not run.read_as_bytes or not run.stdout.endswith(b"\x00\xed\xa0\x80\r\n\x04\x1aafter")


@judge
def artifact(world, run):
    """The private file's content in what was brought back."""
    return any(world.marker.encode() in content for content in run.artifacts.values())


@judge
def stuck(world, run):
    return run.collecting_stuck


@judge
def wide_artifact(world, run):
    return sum(map(len, run.artifacts.values())) > 8 << 20
