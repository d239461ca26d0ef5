"""Images and the chart as OCI layouts on disk, which any registry's client pushes: no container engine is needed.

    python3 k8s/tools/oci.py images FOLDER --programs PROGRAMS    one layout a program, and FOLDER/digests.yaml
    python3 k8s/tools/oci.py chart FOLDER                         the chart's package, and a layout of it; signed by the
                                                                  OpenPGP key GOLDEN_CHART_KEY, where there is one

The same programs give the same bytes: names are sorted, times are those of the commit, owners are root.
"""

import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
REVISION_ANNOTATION = "org.opencontainers.image.revision"
# Program -> the port it listens on; what is made of Debian packages besides is built by k8s/Dockerfile alone.
SCRATCH = {
    "orchestrator": 8080,
    "peer-hub": 8081,
    "supervisor": 8082,
    "dlq-worker": 8084,
    "release-gate": 8085,
    "agent-worker": 8087,
    "golden": None,
}
SERVES = ("orchestrator", "peer-hub", "supervisor", "dlq-worker", "release-gate")


def version():
    return (ROOT / "VERSION").read_text(encoding="utf-8").strip()


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def commit():
    """(hash, time) of what is checked out."""
    return git("rev-parse", "HEAD"), int(git("show", "--no-patch", "--format=%ct", "HEAD"))


class Layout:
    """An OCI image layout: blobs by digest, and an index with the tags."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)

    def blob(self, data, media_type, **fields):
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **fields}

    def json(self, tree, media_type, **fields):
        return self.blob(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode(), media_type, **fields)

    def finish(self, manifest, tags):
        """Writes the manifest and the index that gives it its tags; returns the manifest's digest."""
        entry = self.json(manifest, "application/vnd.oci.image.manifest.v1+json")
        entries = [entry | {"annotations": {"org.opencontainers.image.ref.name": tag}} for tag in tags]
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
        (self.folder / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n', encoding="utf-8")
        return entry["digest"]


def tar_of(folder, seconds):
    """A folder as a tar whose bytes depend on nothing but names, modes and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            entry = archive.gettarinfo(path, arcname=str(path.relative_to(folder)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = seconds
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)
    return buffer.getvalue()


def created(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def image(program, programs, folder):
    """Writes one program's image; returns its digest."""
    revision, seconds = commit()
    layout = Layout(folder)
    with tempfile.TemporaryDirectory() as root:
        subprocess.run([ROOT / "k8s/image/rootfs.sh", program, programs, root], check=True)
        tar = tar_of(root, seconds)
    layer = layout.blob(gzip.compress(tar, 6, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    labels = {
        "org.opencontainers.image.title": program,
        "org.opencontainers.image.version": version(),
        REVISION_ANNOTATION: revision,
    }
    port = SCRATCH[program]
    process = {
        "User": "65532:65532",
        "Entrypoint": [f"/usr/local/bin/{program}"],
        "Env": ["PATH=/usr/local/bin"],
        "StopSignal": "SIGTERM",
        "Labels": labels,
    }
    if program in SERVES:
        process["Cmd"] = ["serve"]
    if port:
        process["ExposedPorts"] = {f"{port}/tcp": {}}
    if program == "orchestrator":
        process["Env"].append("GOLDEN_MIGRATIONS=/usr/local/share/golden/migrations")
    config = layout.json(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
            "os": "linux",
            "created": created(seconds),
            "config": process,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
            "history": [{"created": created(seconds), "created_by": f"k8s/image/rootfs.sh {program}"}],
        },
        "application/vnd.oci.image.config.v1+json",
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
        "annotations": labels,
    }
    return layout.finish(manifest, [f"v{version()}", f"sha-{revision[:12]}"])


def images(folder, programs):
    """Writes the image of every program that was built, and their digests as the chart's values."""
    folder = pathlib.Path(folder)
    lines = [
        "# Digests for the chart's `images`; k8s/environments/<environment>/argocd-applications.yaml takes them.",
        "images:",
    ]
    for program in SCRATCH:
        if not (pathlib.Path(programs) / program).exists():
            print(f"{program}: not built")
            continue
        digest = image(program, programs, folder / program)
        print(f"{program} {digest}")
        if program != "golden":
            lines.append(f'  {program}: {{repository: {program}, digest: "{digest}"}}')
    (folder / "digests.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("sandbox-executor and database-tools are made of Debian packages: k8s/Dockerfile builds them.")


def provenance(package, metadata, key):
    """Signs a package as `helm package --sign` does, for `--verify`: its metadata and hash, clearsigned by OpenPGP."""
    import yaml

    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    text = yaml.safe_dump(metadata) + "\n...\n" + yaml.safe_dump({"files": {package.name: f"sha256:{digest}"}})
    path = package.with_name(package.name + ".prov")
    words = ["gpg", "--batch", "--yes", "--digest-algo", "SHA512", "--local-user", key, "--output", path, "--clearsign"]
    subprocess.run(words, input=text, text=True, check=True)
    return path


def chart(folder, key=None):
    """Packages the chart, signs it when there is a key, and lays both out as Helm pushes them; returns the digest."""
    import yaml

    from helm import CHART, Helm

    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    helm = Helm()
    try:
        package = pathlib.Path(helm.package(folder.resolve()))
    finally:
        helm.close()
    metadata = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    layout = Layout(folder / "oci")
    layers = [layout.blob(package.read_bytes(), "application/vnd.cncf.helm.chart.content.v1.tar+gzip")]
    if key:
        proof = provenance(package, metadata, key).read_bytes()
        layers.append(layout.blob(proof, "application/vnd.cncf.helm.chart.provenance.v1.prov"))
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": layout.json(metadata, "application/vnd.cncf.helm.config.v1+json"),
        "layers": layers,
        "annotations": {
            "org.opencontainers.image.title": metadata["name"],
            "org.opencontainers.image.version": metadata["version"],
            REVISION_ANNOTATION: commit()[0],
        },
    }
    digest = layout.finish(manifest, [metadata["version"]])
    print(f"{package}\n{metadata['name']}:{metadata['version']} {digest}")
    return digest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "chart"])
    parser.add_argument("folder")
    parser.add_argument("--programs", help="where the programs were built")
    arguments = parser.parse_args()
    if arguments.what == "chart":
        chart(arguments.folder, os.environ.get("GOLDEN_CHART_KEY"))
    elif arguments.programs:
        images(arguments.folder, arguments.programs)
    else:
        parser.error("images needs --programs")


if __name__ == "__main__":
    main()
