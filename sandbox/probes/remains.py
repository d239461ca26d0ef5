"""What a run may leave behind or make others believe: daemons, files, forged results, traps among the artifacts."""

import os
import pathlib
import signal
import time

from probe import probe

FORGED = b"exit step=run kind=code value=0 user_us=1 system_us=1 maxrss_kib=1\nend init=code:0\n"


def daemonize(canary, prepare):
    """A process in a session of its own, named so that run.py finds it."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            prepare()
            for fd in range(3):
                os.close(fd)
            os.execv("/usr/bin/sleep", [canary["marker"] + "-daemon", "30"])
        os._exit(0)
    os.wait()
    time.sleep(0.1)


@probe(judge="survivor")
def daemon(canary):
    daemonize(canary, lambda: None)


@probe(judge="survivor")
def daemon_without_ears(canary):
    daemonize(
        canary, lambda: [signal.signal(number, signal.SIG_IGN) for number in range(1, 32) if number not in (9, 19)]
    )


@probe(judge="survivor")
def stopped_daemon(canary):
    def be_stopped():
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.05)
            os.kill(os.getppid(), signal.SIGSTOP)
            os._exit(0)

    daemonize(canary, be_stopped)


@probe(judge="survivor")
def daemon_that_forks(canary):
    """Gone from its number before anybody can end it, a hundred times."""

    def run_away():
        for _ in range(100):
            if os.fork():
                os._exit(0)
            os.setsid()

    daemonize(canary, run_away)


@probe(judge="survivor", needs={"timeout": 1})
def daemon_of_a_program_that_is_ended(canary):
    """The program itself never ends: what ends it must end this, too."""
    daemonize(canary, lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    while True:
        time.sleep(1)


@probe(judge="delayed")
def holder_of_pipes(canary):
    """A child keeps stdout open, so that nobody who waits for its end sees one."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(4)


@probe(judge="left_files")
def files_everywhere(canary):
    folders = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/box", canary["tmp"], canary["box"], "/dev/mqueue"]
    for folder in folders:
        try:
            pathlib.Path(folder, canary["marker"] + "-left").write_text("x")
        except OSError:
            continue


@probe(judge="forged")
def forged_records_on_streams(canary):
    os.write(1, FORGED)
    os.write(2, FORGED)
    os._exit(7)


@probe(judge="forged")
def forged_records_on_descriptors(canary):
    for fd in range(3, 1024):
        try:
            os.write(fd, FORGED)
        except OSError:
            continue
    os._exit(7)


@probe(root=True, judge="forged")
def forged_records_through_proc(canary):
    for pid in (os.getppid(), 1):
        for fd in range(3, 1024):
            try:
                with open(f"/proc/{pid}/fd/{fd}", "wb", 0) as file:
                    file.write(FORGED)
            except OSError:
                continue
    os._exit(7)


@probe(judge="hostile_bytes")
def hostile_bytes(canary):
    """Terminal commands, broken UTF-8, zeros, false ends of a stream: what comes after them must still arrive."""
    os.write(1, b"\x1b]0;title\x07\x1b[2J\xff\xfe\x00\xed\xa0\x80\r\n\x04\x1a")
    os.write(1, b"after")
    os._exit(0)


@probe(judge="artifact")
def artifact_that_is_a_link(canary):
    os.symlink(canary["private"], canary["box"] + "/artifact")


@probe(judge="artifact")
def artifact_below_a_link(canary):
    os.symlink(os.path.dirname(canary["private"]), canary["box"] + "/folder")


@probe(judge="artifact")
def artifact_through_proc(canary):
    os.symlink("/proc/1/root" + canary["private"], canary["box"] + "/artifact")
    os.symlink("/proc/self/root/" + canary["private"], canary["box"] + "/folder")


@probe(judge="stuck")
def artifact_that_is_a_pipe(canary):
    """Whoever opens it waits for a writer for ever."""
    os.mkfifo(canary["box"] + "/artifact")


@probe(judge="wide_artifact")
def artifact_without_an_end(canary):
    """More than anybody wants back."""
    for number in range(6):
        with open(f"{canary['box']}/artifact-{number}", "wb") as file:
            file.truncate(9 << 20)
