"""The chart's pods that look after the database, run outside a cluster: their commands and settings as rendered."""

import os
import pathlib
import subprocess

from helm import ROOT

PROGRAMS = pathlib.Path(os.environ.get("GOLDEN_BIN", ROOT / ".build/debug"))
KINDS = ("Job", "CronJob", "StatefulSet")


class DatabasePods:
    """Lays out in a folder what the pods see: the ConfigMap's scripts, the volumes, the Secrets' files."""

    def __init__(self, objects, folder):
        self._things = {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] in KINDS}
        self._folder = pathlib.Path(folder)
        self.backups = self._volume("backups")
        self.archive = self._volume("archive")
        scripts = next(thing for thing in objects if thing["metadata"]["name"] == "golden-database-scripts")["data"]
        for name, text in scripts.items():
            (self._volume("opt") / name).write_text(text, encoding="utf-8")

    def _volume(self, name):
        path = self._folder / name
        path.mkdir(exist_ok=True)
        return path

    def container(self, name):
        spec = self._things[name]["spec"]
        spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        return spec["template"]["spec"]["containers"][0]

    def start(self, name, url, arguments=None, **environment):
        """Starts a pod's container; `arguments` in place of what follows its program and script."""
        container = self.container(name)
        secrets = self._volume("secrets")
        (secrets / "postgres-url").write_text(url + "\n", encoding="utf-8")
        (secrets / "redis-url").write_text("redis://127.0.0.1:1/0\n", encoding="utf-8")
        words = [*(container.get("command") or [str(PROGRAMS / "orchestrator")]), *container.get("args", [])]
        if arguments is not None:
            words = words[:2] + arguments
        settings = {variable["name"]: self._local(variable["value"]) for variable in container["env"]}
        # What the image sets.
        settings |= {"PATH": os.environ["PATH"], "GOLDEN_MIGRATIONS": str(ROOT / "migrations")} | environment
        return subprocess.Popen(
            [self._local(word) for word in words],
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # So that all of it can be killed, as a container's processes are.
            start_new_session=True,
        )

    def _local(self, text):
        for there, here in (
            ("/etc/golden/secrets", "secrets"),
            ("/opt/golden", "opt"),
            ("/backups", "backups"),
            ("/archive", "archive"),
        ):
            if text == there or text.startswith(there + "/"):
                return str(self._folder / here) + text[len(there) :]
        return text
