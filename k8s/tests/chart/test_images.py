"""Images without a container engine: the Dockerfile's rules, its steps one by one, and the OCI layouts."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest

import oci
import sources
from helm import CHART, ROOT
from postgres_server import PostgresServer
from rendering import bare, load, render

PROGRAMS = pathlib.Path(os.environ.get("GOLDEN_BIN", ROOT / ".build/debug"))
SHELLS = ("/sh", "/bash", "/dash", "/busybox")


def instructions():
    """(stage, instruction, rest) of the Dockerfile, continued lines joined."""
    text = (ROOT / "k8s/Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stage = None
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage = rest.split(" AS ")[1]
        yield stage, word, rest


def of_stage(stage, word):
    return [rest for name, kind, rest in instructions() if (name, kind) == (stage, word)]


def stages():
    return {rest.split(" AS ")[1]: rest.split(" AS ")[0] for _, word, rest in instructions() if word == "FROM"}


def shell_list(name, file):
    """The words of an array of a shell script."""
    return re.search(rf"^{name}=\(([^)]*)\)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)[1].split()


def inside(root, environment, *command):
    """What a command says that runs with `root` for its root, as the image's user where this test may."""
    # Swift reads its arguments from /proc, as every container has it.
    change = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={root}/proc"]
    if os.geteuid() == 0:
        change += ["chroot", "--userspec=65532:65532", root]
    else:
        change += ["--user", "--map-root-user", "chroot", root]
    done = subprocess.run(
        [*change, *command],
        env=environment | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class DockerfileTests(unittest.TestCase):
    def test_bases_are_named_by_whoever_builds(self):
        defaults = [rest for stage, word, rest in instructions() if word == "ARG"]
        # Without a default nobody builds on what a tag means today.
        self.assertEqual(defaults, ["SWIFT_IMAGE", "DEBIAN_IMAGE"])
        self.assertEqual(set(stages().values()), {"${SWIFT_IMAGE}", "${DEBIAN_IMAGE}", "scratch"})

    def test_every_image_of_the_chart_has_a_stage(self):
        wanted = {image["repository"] for image in load(CHART / "values.yaml")["images"].values()}
        self.assertEqual(set(stages()) - {"build", "golden"}, wanted)

    def test_nothing_runs_as_root(self):
        for stage in set(stages()) - {"build"}:
            with self.subTest(stage):
                self.assertEqual(of_stage(stage, "USER"), ["65532:65532"])

    def test_programs_are_started_without_a_shell(self):
        for stage in set(stages()) - {"build"}:
            for word in ("ENTRYPOINT", "CMD"):
                for rest in of_stage(stage, word):
                    self.assertIsInstance(json.loads(rest), list)
        self.assertEqual([rest for _, word, rest in instructions() if word == "ADD"], [])

    def test_what_the_chart_runs_is_what_the_images_start(self):
        for thing in render(bare()):
            if thing["kind"] != "Deployment":
                continue
            container = thing["spec"]["template"]["spec"]["containers"][0]
            stage = re.search(r"/([a-z-]+):[^/]+@", container["image"])[1]
            self.assertEqual(json.loads(of_stage(stage, "ENTRYPOINT")[0]), [f"/usr/local/bin/{stage}"])
            if stage in sources.facts():
                self.assertEqual(of_stage(stage, "EXPOSE"), [str(sources.facts()[stage]["port"])])
                self.assertEqual(json.loads(of_stage(stage, "CMD")[0]), container["args"][:1])

    def test_packages_are_those_that_building_takes(self):
        runs = of_stage("build", "RUN")
        listed = set(re.search(r"--no-install-recommends ([^&]+)", runs[0])[1].split())
        self.assertEqual(listed - {"ca-certificates"}, set(shell_list("BUILD_PACKAGES", "scripts/lib/install.sh")))
        for _, word, rest in instructions():
            if word == "RUN" and "apt-get install" in rest:
                self.assertIn("--no-install-recommends", rest)
                self.assertIn("rm -rf /var/lib/apt/lists/*", rest)

    def test_what_is_copied_is_there(self):
        for stage, word, rest in instructions():
            if word != "COPY":
                continue
            words = rest.split()
            if words[0].startswith("--from="):
                self.assertIn(words[0].removeprefix("--from="), stages())
                for path in words[1:-1]:
                    self.assertRegex(path, r"^/(rootfs|programs)/[a-z-]+/?$")
                    self.assertIn(path.strip("/").split("/")[1], shell_list("PROGRAMS", "scripts/lib/build.sh"), path)
            else:
                for path in words[:-1]:
                    self.assertTrue((ROOT / path).exists(), f"{stage}: {path}")

    def test_every_program_is_a_product(self):
        package = (ROOT / "Package.swift").read_text(encoding="utf-8")
        for program in shell_list("PROGRAMS", "scripts/lib/build.sh"):
            self.assertRegex(package, rf'executableTarget\(\s*name: "{program}"')

    def test_all_that_the_manifest_names_is_copied(self):
        copied = {path for rest in of_stage("build", "COPY") for path in rest.split()[:-1]}
        package = (ROOT / "Package.swift").read_text(encoding="utf-8")
        folders = {path.split("/")[0] for path in re.findall(r'path: "([^"]+)"', package)} | {"Sources", "Tests"}
        self.assertLessEqual(folders, copied)

    def test_the_sandbox_has_what_it_is_linked_to_and_runs(self):
        packages = set(re.search(r"--no-install-recommends ([^&]+)", of_stage("sandbox-executor", "RUN")[0])[1].split())
        linked = subprocess.run(
            ["ldd", PROGRAMS / "sandbox-executor"], check=True, capture_output=True, text=True
        ).stdout
        for library in ("libnats", "libhiredis", "libpq", "libssl"):
            path = pathlib.Path(re.search(rf"(/\S*{library}\S*)", linked)[1]).resolve()
            owner = subprocess.run(["dpkg", "-S", path], check=True, capture_output=True, text=True).stdout.split(":")[
                0
            ]
            self.assertIn(owner, packages)
        places = {"python": "python3", "javascript": "nodejs", "c": "gcc"}
        languages = {path.stem for path in (ROOT / "sandbox/languages").glob("*.json")} - {"shell"}
        self.assertEqual(languages, set(places))
        self.assertLessEqual(set(places.values()), packages)


class RootTests(unittest.TestCase):
    """The step that collects an image's files, run outside of a container; then the program in those files alone."""

    def test_the_orchestrator_migrates_inside_its_own_files(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder, "root")
            subprocess.run([ROOT / "k8s/image/rootfs.sh", "orchestrator", PROGRAMS, root], check=True)
            os.chmod(folder, 0o755)
            names = ["/" + str(path.relative_to(root)) for path in root.rglob("*")]
            self.assertEqual([name for name in names if name.endswith(SHELLS)], [])
            self.assertIn("/etc/ssl/certs/ca-certificates.crt", names)
            server = PostgresServer().start()
            self.addCleanup(server.close)
            environment = {
                "GOLDEN_MIGRATIONS": "/usr/local/share/golden/migrations",
                "GOLDEN_REDIS_URL": "redis://127.0.0.1:1/0",
                "GOLDEN_POSTGRES_URL": server.url("postgres"),
            }
            said = inside(root, environment, "/usr/local/bin/orchestrator", "migrate", "up")
            self.assertEqual(said.count("applied"), len(list((ROOT / "migrations").glob("*.sql"))))


class BuildTests(unittest.TestCase):
    """The Dockerfile's build step outside of a container, word for word, on the very files that COPY brings. Only the compiler
    is another: one that notes what it is asked, and has the programs that the tests were built with, since a release build
    takes half an hour.
    """

    SWIFT = """#!/bin/bash
echo "$*" >>{log}
if [[ " $* " == *" --show-bin-path "* ]]; then echo {programs}; fi
"""

    def test_the_step_makes_every_image_of_the_files_that_are_copied(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            source = self.copied(folder / "source")
            swift, log = folder / "tools/swift", folder / "log"
            swift.parent.mkdir()
            swift.write_text(self.SWIFT.format(log=log, programs=PROGRAMS))
            swift.chmod(0o755)
            step = of_stage("build", "RUN")[1]
            for path in ("/programs", "/rootfs"):
                step = re.sub(rf"(?<![\w}}]){path}\b", str(folder / path[1:]), step)
            done = subprocess.run(
                [*json.loads(of_stage("build", "SHELL")[0]), step], cwd=source,
                env=os.environ | {"PATH": f"{swift.parent}:{os.environ['PATH']}"},
                capture_output=True, text=True, timeout=600, check=False,
            )
            self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
            programs = shell_list("PROGRAMS", "scripts/lib/build.sh")
            flags = "build -c release --static-swift-stdlib -Xswiftc -cross-module-optimization"
            self.assertEqual(
                log.read_text().splitlines(),
                [f"{flags} --product {program}" for program in programs] + [f"{flags} --show-bin-path"],
            )
            self.assertEqual({path.name for path in (folder / "rootfs").iterdir()}, set(programs))
            os.chmod(folder, 0o755)
            for program in set(programs) & set(oci.SCRATCH):
                with self.subTest(program):
                    said = inside(folder / "rootfs" / program, {}, f"/usr/local/bin/{program}", "--help")
                    self.assertIn("USAGE", said)

    def copied(self, folder):
        """What the build stage copies."""
        for rest in of_stage("build", "COPY"):
            *paths, to = rest.split()
            for path in paths:
                target = folder / to / pathlib.Path(path).name if to.endswith("/") else folder / to
                target.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / path).is_dir():
                    shutil.copytree(ROOT / path, target, symlinks=True)
                else:
                    shutil.copy2(ROOT / path, target)
        return folder


class LayoutTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        programs = cls.folder / "programs"
        programs.mkdir()
        # A small program with libraries of its own stands for the large ones: what is tested is the layout.
        shutil.copy(pathlib.Path("/usr/lib/postgresql/15/bin/psql"), programs / "golden")
        shutil.copy(programs / "golden", programs / "dlq-worker")
        with contextlib.redirect_stdout(io.StringIO()):
            oci.images(cls.folder / "one", programs)
            oci.images(cls.folder / "two", programs)

    def read(self, layout, descriptor):
        data = (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
        self.assertEqual(hashlib.sha256(data).hexdigest(), descriptor["digest"].removeprefix("sha256:"))
        self.assertEqual(len(data), descriptor["size"])
        return data

    def test_an_image_is_whole(self):
        layout = self.folder / "one/dlq-worker"
        self.assertEqual(json.loads((layout / "oci-layout").read_text()), {"imageLayoutVersion": "1.0.0"})
        index = json.loads((layout / "index.json").read_text())
        version = (ROOT / "VERSION").read_text().strip()
        tags = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]]
        self.assertEqual(tags, [f"v{version}", f"sha-{oci.commit()[0][:12]}"])
        self.assertEqual(len({entry["digest"] for entry in index["manifests"]}), 1)
        manifest = json.loads(self.read(layout, index["manifests"][0]))
        config = json.loads(self.read(layout, manifest["config"]))
        tar = gzip.decompress(self.read(layout, manifest["layers"][0]))
        self.assertEqual(config["rootfs"]["diff_ids"], [f"sha256:{hashlib.sha256(tar).hexdigest()}"])
        self.assertEqual((config["config"]["User"], config["config"]["Cmd"]), ("65532:65532", ["serve"]))
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            names = archive.getnames()
            self.assertIn("usr/local/bin/dlq-worker", names)
            self.assertEqual({entry.uid for entry in archive.getmembers()}, {0})
        self.assertEqual([name for name in names if ("/" + name).endswith(SHELLS)], [])

    def test_the_same_programs_give_the_same_image(self):
        one, two = ((self.folder / name / "digests.yaml").read_text() for name in ("one", "two"))
        self.assertEqual(one, two)
        self.assertEqual(set(load(self.folder / "one/digests.yaml")["images"]), {"dlq-worker"})

    def test_dockerfile_and_layouts_agree(self):
        for program, port in oci.SCRATCH.items():
            self.assertEqual(stages()[program], "scratch")
            self.assertEqual(of_stage(program, "EXPOSE"), [str(port)] if port else [])
            self.assertEqual(
                [json.loads(rest) for rest in of_stage(program, "CMD")], [["serve"]] if program in oci.SERVES else []
            )

    def test_the_chart_is_an_artifact(self):
        folder = self.folder / "chart"
        with contextlib.redirect_stdout(io.StringIO()):
            oci.chart(folder)
        layout = folder / "oci"
        index = json.loads((layout / "index.json").read_text())
        manifest = json.loads(self.read(layout, index["manifests"][0]))
        version = (ROOT / "VERSION").read_text().strip()
        self.assertEqual(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], version)
        self.assertEqual(manifest["config"]["mediaType"], "application/vnd.cncf.helm.config.v1+json")
        self.assertEqual(json.loads(self.read(layout, manifest["config"]))["version"], version)
        self.assertEqual(self.read(layout, manifest["layers"][0]), (folder / f"golden-{version}.tgz").read_bytes())


if __name__ == "__main__":
    unittest.main()
