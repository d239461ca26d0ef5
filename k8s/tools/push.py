"""Pushes OCI layouts, as oci.py writes them, to a registry (OCI distribution 1.1): no container engine is needed.

    python3 k8s/tools/push.py FOLDER REGISTRY    every layout under FOLDER to REGISTRY/<its title>, by all its tags

Prints each name with its digest, as release.yaml and the chart's values take it. A tag that stands for something else
already is refused: versions are never given twice. Login: GOLDEN_REGISTRY_USER and GOLDEN_REGISTRY_PASSWORD_FILE. Plain
HTTP is spoken to loopback alone. Exit codes: 0 pushed or there already, 1 refused, 2 wrong usage.
"""

import argparse
import base64
import json
import os
import pathlib
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_SECONDS = 300
ANSWER_BYTES_MAX = 1 << 20
TITLE = "org.opencontainers.image.title"
TAG = "org.opencontainers.image.ref.name"
LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?$")


class PushError(Exception):
    """What the registry said, or what is wrong with the layout."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A login is for the registry that was named, not for where it sends on to."""

    def redirect_request(self, *_):
        return None


class Registry:
    """One repository at a registry."""

    def __init__(self, name, login=None):
        self.host, _, self.repository = name.partition("/")
        if not self.host or not re.fullmatch(r"[a-z0-9]+([._/-][a-z0-9]+)*", self.repository):
            raise PushError(f"{name} is no registry with a repository in it")
        self.url = f"{'http' if LOOPBACK.match(self.host) else 'https'}://{self.host}"
        self.login, self.authorization = login, None
        self.opener = urllib.request.build_opener(NoRedirect)

    def _basic(self):
        user, password = self.login
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def _log_in(self, challenge):
        """Answers what the registry asks for: the login itself, or a token that is given for it."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self.login:
            self.authorization = self._basic()
        elif scheme.lower() == "bearer":
            fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
            realm = fields.pop("realm", "")
            if not realm.startswith("https://") and not LOOPBACK.match(urllib.parse.urlsplit(realm).netloc):
                raise PushError(f"{self.host} wants the login sent to {realm or 'nowhere'}")
            fields = {name: fields[name] for name in ("service", "scope") if name in fields}
            request = urllib.request.Request(f"{realm}?{urllib.parse.urlencode(fields)}")
            if self.login:
                request.add_header("Authorization", self._basic())
            with self.opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                token = json.loads(answer.read(ANSWER_BYTES_MAX))
            self.authorization = f"Bearer {token.get('token') or token['access_token']}"
        else:
            raise PushError(f"{self.host} asks for a login: GOLDEN_REGISTRY_USER, GOLDEN_REGISTRY_PASSWORD_FILE")

    def ask(self, method, place, data=None, allowed=(200,), **headers):
        """(status, headers) of one request; `place` is below the repository, or a whole address."""
        url = urllib.parse.urljoin(f"{self.url}/v2/{self.repository}/", place)
        for attempt in (1, 2):
            request = urllib.request.Request(url, data=data, method=method, headers=headers)
            if self.authorization:
                request.add_header("Authorization", self.authorization)
            try:
                with self.opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                    status, fields, body = answer.status, answer.headers, b""
            except urllib.error.HTTPError as error:
                status, fields, body = error.code, error.headers, error.read(500)
            if status == 401 and attempt == 1:
                self._log_in(fields.get("WWW-Authenticate", ""))
                continue
            if status not in allowed:
                raise PushError(f"{method} {url.partition('?')[0]}: status {status} {body.decode(errors='replace')}")
            return status, fields
        raise AssertionError("unreachable")

    def push_blob(self, digest, data):
        if self.ask("HEAD", f"blobs/{digest}", allowed=(200, 404))[0] == 200:
            return
        _, fields = self.ask("POST", "blobs/uploads/", b"", (202,), **{"Content-Length": "0"})
        place = urllib.parse.urljoin(f"{self.url}/", fields["Location"])
        mark = "&" if urllib.parse.urlsplit(place).query else "?"
        self.ask("PUT", f"{place}{mark}digest={digest}", data, (201,), **{"Content-Type": "application/octet-stream"})

    def tagged(self, tag, media_type):
        """The digest that a tag stands for; None without one."""
        status, fields = self.ask("HEAD", f"manifests/{tag}", allowed=(200, 404), Accept=media_type)
        return fields["Docker-Content-Digest"] if status == 200 else None

    def push_manifest(self, tag, digest, data, media_type):
        known = self.tagged(tag, media_type)
        if known == digest:
            return
        if known:
            raise PushError(f"{self.host}/{self.repository}:{tag} is {known} already, and not {digest}")
        _, fields = self.ask("PUT", f"manifests/{tag}", data, (201,), **{"Content-Type": media_type})
        if fields.get("Docker-Content-Digest", digest) != digest:
            raise PushError(f"{self.host} stored {tag} as {fields['Docker-Content-Digest']} instead of {digest}")


def push(layout, registry, login=None):
    """Pushes one layout: what it is made of before what names it. Returns `name@digest`."""
    layout = pathlib.Path(layout)

    def blob(digest):
        return (layout / "blobs" / digest.replace(":", "/")).read_bytes()

    entries = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]
    digests = {entry["digest"] for entry in entries}
    if len(digests) != 1:
        raise PushError(f"{layout} holds {len(digests)} images instead of one")
    digest = digests.pop()
    data = blob(digest)
    manifest = json.loads(data)
    name = f"{registry}/{manifest['annotations'][TITLE]}"
    target = Registry(name, login)
    for part in (manifest["config"], *manifest["layers"]):
        target.push_blob(part["digest"], blob(part["digest"]))
    for entry in entries:
        target.push_manifest(entry["annotations"][TAG], digest, data, manifest["mediaType"])
    return f"{name}@{digest}"


def login_of(environment):
    user, path = environment.get("GOLDEN_REGISTRY_USER"), environment.get("GOLDEN_REGISTRY_PASSWORD_FILE")
    return (user, pathlib.Path(path).read_text(encoding="utf-8").strip()) if user and path else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("registry")
    arguments = parser.parse_args()
    layouts = sorted(mark.parent for mark in pathlib.Path(arguments.folder).rglob("oci-layout"))
    if not layouts:
        parser.error(f"{arguments.folder} holds no OCI layout: scripts/chart package, scripts/chart images")
    try:
        for layout in layouts:
            print(push(layout, arguments.registry, login_of(os.environ)), flush=True)
    except (PushError, OSError) as error:
        print(f"push: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
