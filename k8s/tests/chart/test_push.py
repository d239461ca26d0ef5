"""What is pushed lies at a real registry (Debian's docker-registry) as it was built, and no tag is moved."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import oci
import push
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
START_SECONDS_MAX = 60
LOGIN = ("golden", "a password")
# Of that password, by bcrypt.
HASH = "$2y$05$abcdefghijklmnopqrstuu2sM.EEHj4jPcCa5rwqJGg1PNBllkZXy"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name)
        cls.port = free_port()
        (cls.folder / "users").write_text(f"{LOGIN[0]}:{HASH}\n", encoding="utf-8")
        config = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(cls.folder / "store")}},
            "http": {"addr": f"127.0.0.1:{cls.port}"},
            "auth": {"htpasswd": {"realm": "test", "path": str(cls.folder / "users")}},
        }
        (cls.folder / "config.yml").write_text(json.dumps(config), encoding="utf-8")
        with (cls.folder / "log").open("wb") as log:
            cls.registry = subprocess.Popen(
                ["docker-registry", "serve", cls.folder / "config.yml"], stdout=log, stderr=log
            )
        cls.addClassCleanup(cls.registry.wait)
        cls.addClassCleanup(cls.registry.terminate)
        limit = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < limit and cls.registry.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", cls.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError((cls.folder / "log").read_text(encoding="utf-8"))

    @property
    def place(self):
        return f"127.0.0.1:{self.port}/charts"

    def get(self, place, accept="*/*"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v2/charts/{place}", headers={"Accept": accept})
        target = push.Registry(self.place, LOGIN)
        request.add_header("Authorization", target._basic())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read(), answer.headers

    def layout(self, name, content, tags):
        """A layout of one layer."""
        layout = oci.Layout(self.folder / name)
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": layout.json({"of": name}, "application/vnd.oci.image.config.v1+json"),
            "layers": [layout.blob(content, "application/vnd.oci.image.layer.v1.tar")],
            "annotations": {push.TITLE: "thing"},
        }
        return layout.finish(manifest, tags)

    def test_the_chart_lies_there_as_it_was_packaged(self):
        folder = self.folder / "chart"
        digest = oci.chart(folder)
        environment = os.environ | {
            "GOLDEN_REGISTRY_USER": LOGIN[0], "GOLDEN_REGISTRY_PASSWORD_FILE": str(self.folder / "password")
        }
        (self.folder / "password").write_text(LOGIN[1] + "\n", encoding="utf-8")
        words = [sys.executable, ROOT / "k8s/tools/push.py", folder, self.place]
        for _ in ("pushed", "there already"):
            done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, f"{self.place}/golden@{digest}\n"), done.stderr)
        manifest_type = "application/vnd.oci.image.manifest.v1+json"
        data, headers = self.get(f"golden/manifests/{oci.version()}", manifest_type)
        self.assertEqual(headers["Docker-Content-Digest"], digest)
        layer = json.loads(data)["layers"][0]
        self.assertEqual(layer["mediaType"], "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
        package = folder / f"golden-{oci.version()}.tgz"
        self.assertEqual(self.get(f"golden/blobs/{layer['digest']}")[0], package.read_bytes())
        self.assertEqual(self.get(f"golden/manifests/{digest}", manifest_type)[0], data)

    def test_a_signed_chart_takes_its_provenance_along(self):
        home = self.folder / "gnupg"
        home.mkdir(mode=0o700)
        environment = os.environ | {"GNUPGHOME": str(home), "GOLDEN_CHART_KEY": "chart@example.com"}

        def gpg(*words, allowed=(0,)):
            done = subprocess.run(["gpg", "--batch", *words], env=environment, capture_output=True, text=True, check=False)
            self.assertIn(done.returncode, allowed, done.stderr)
            return done

        self.addCleanup(subprocess.run, ["gpgconf", "--kill", "gpg-agent"], env=environment, check=False)
        gpg("--passphrase", "", "--quick-gen-key", "chart@example.com", "rsa2048", "sign", "1d")
        folder = self.folder / "signed"
        words = [sys.executable, ROOT / "k8s/tools/oci.py", "chart", folder]
        subprocess.run(words, env=environment, capture_output=True, check=True, timeout=120)
        registry = f"127.0.0.1:{self.port}/charts/signed"
        pushed = push.push(folder / "oci", registry, LOGIN)
        data, _ = self.get(
            f"signed/golden/manifests/{oci.version()}", "application/vnd.oci.image.manifest.v1+json")
        content, proof = json.loads(data)["layers"]
        self.assertTrue(pushed.startswith(registry))
        self.assertEqual(proof["mediaType"], "application/vnd.cncf.helm.chart.provenance.v1.prov")
        text, _ = self.get(f"signed/golden/blobs/{proof['digest']}")
        (self.folder / "prov").write_bytes(text)
        plain = self.folder / "plain"
        gpg("--output", str(plain), "--verify", str(self.folder / "prov"))
        # As Helm reads it: the metadata, three dots, the hashes.
        metadata, files = (yaml.safe_load(part) for part in plain.read_text(encoding="utf-8").split("\n...\n"))
        self.assertEqual((metadata["name"], metadata["version"]), ("golden", oci.version()))
        self.assertEqual(files, {"files": {f"golden-{oci.version()}.tgz": content["digest"]}})
        (self.folder / "prov").write_bytes(text.replace(b"name: golden", b"name: goldem"))
        gpg("--verify", str(self.folder / "prov"), allowed=(1,))

    def test_a_tag_is_never_moved(self):
        first = self.layout("one", b"one", ["v1", "sha-1"])
        self.assertEqual(push.push(self.folder / "one", self.place, LOGIN), f"{self.place}/thing@{first}")
        second = self.layout("two", b"two", ["v1"])
        with self.assertRaisesRegex(push.PushError, f"v1 is {first} already, and not {second}"):
            push.push(self.folder / "two", self.place, LOGIN)
        for tag in ("v1", "sha-1"):
            _, headers = self.get(f"thing/manifests/{tag}", "application/vnd.oci.image.manifest.v1+json")
            self.assertEqual(headers["Docker-Content-Digest"], first)

    def test_nothing_is_pushed_without_its_login(self):
        self.layout("three", b"three", ["v3"])
        for login in (None, ("golden", "another")):
            with self.assertRaisesRegex(push.PushError, "login|401"):
                push.push(self.folder / "three", self.place, login)
        with self.assertRaises(urllib.error.HTTPError):
            self.get("thing/manifests/v3")

    def test_a_changed_blob_is_refused(self):
        self.layout("four", b"four", ["v4"])
        for blob in (self.folder / "four/blobs/sha256").iterdir():
            if blob.read_bytes() == b"four":
                blob.write_bytes(b"five")
        with self.assertRaisesRegex(push.PushError, "DIGEST_INVALID|status 400"):
            push.push(self.folder / "four", self.place, LOGIN)

    def test_a_login_goes_to_nobody_else(self):
        for name in ("registry.example/golden", "10.0.0.1:5000/golden"):
            self.assertTrue(push.Registry(name).url.startswith("https://"), name)
        target = push.Registry("registry.example/golden", LOGIN)
        with self.assertRaisesRegex(push.PushError, "wants the login sent to http://else.example"):
            target._log_in('Bearer realm="http://else.example/token",service="x"')
        for name in ("registry.example", "/golden", "r/Golden", "r/../x"):
            with self.assertRaises(push.PushError):
                push.Registry(name)


if __name__ == "__main__":
    unittest.main()
