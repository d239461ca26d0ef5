"""Helm's real engine, from PyPI's helm-sdkpy (test use only), called by ctypes against a fake API in memory."""

import ctypes
import json
import os
import pathlib
import tempfile

import fake_api

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "k8s/charts/golden"
LIBRARY = ROOT / ".build/python/helm/libhelm_sdkpy.so"
RELEASE = "golden"
NAMESPACE = "golden-architecture"


class HelmError(Exception):
    """What Helm said."""

    @property
    def refuses_the_chart(self):
        """Whether the values' schema, a template or the API's kinds said no, and not the machine."""
        words = ("values don't meet the specifications", "execution error at", "no matches for kind")
        return any(word in str(self) for word in words)


class Helm:
    """One Helm with the in-memory driver, and the fake API it talks to."""

    def __init__(self, namespace=NAMESPACE):
        # Go reads the environment that the process was started with.
        if os.environ.get("HELM_DRIVER") != "memory":
            raise HelmError("Start Python with HELM_DRIVER=memory: `scripts/test chart` does.")
        self.namespace = namespace
        self.api = fake_api.FakeAPI()
        self.library = ctypes.CDLL(str(LIBRARY))
        self.library.helm_sdkpy_last_error.restype = ctypes.c_char_p
        self.library.helm_sdkpy_free.argtypes = [ctypes.c_void_p]
        self.handle = self._configuration()

    def _configuration(self):
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.api.url}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "users": [{"name": "fake", "user": {}}],
        }
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name, "kubeconfig")
        path.write_text(json.dumps(config), encoding="utf-8")
        handle = ctypes.c_ulonglong()
        self._check(
            self.library.helm_sdkpy_config_create(
                self.namespace.encode(), str(path).encode(), b"fake", b"{}", ctypes.byref(handle)
            )
        )
        return handle

    def close(self):
        self.library.helm_sdkpy_config_destroy(self.handle)
        self.api.close()
        self.folder.cleanup()

    def _check(self, code):
        if code != 0:
            raise HelmError((self.library.helm_sdkpy_last_error() or b"no message").decode())

    def _json(self, function, *arguments):
        result = ctypes.c_void_p()
        self._check(function(self.handle, *arguments, ctypes.byref(result)))
        text = ctypes.string_at(result).decode()
        self.library.helm_sdkpy_free(result)
        return text

    def lint(self, chart=CHART):
        return json.loads(self._json(self.library.helm_sdkpy_lint, str(chart).encode()))

    def package(self, destination, chart=CHART):
        return self._json(self.library.helm_sdkpy_package, str(chart).encode(), str(destination).encode())

    def _release(self, function, chart, values, options):
        settings = {
            "wait": False,
            # The fake API finishes everything at once; only a machine that is slow takes long.
            "timeout_seconds": 120,
            "disable_openapi_validation": True,
            "server_side_apply": "false",
        }
        text = self._json(
            function,
            RELEASE.encode(),
            str(chart).encode(),
            json.dumps(values).encode(),
            b"",
            json.dumps(settings | options).encode(),
        )
        return json.loads(text)

    def install(self, values, chart=CHART, **options):
        return self._release(self.library.helm_sdkpy_install, chart, values, options)

    def upgrade(self, values, chart=CHART, **options):
        return self._release(self.library.helm_sdkpy_upgrade, chart, values, options)

    def uninstall(self):
        return self._json(self.library.helm_sdkpy_uninstall, RELEASE.encode(), 0, 60)

    def history(self):
        return json.loads(self._json(self.library.helm_sdkpy_history, RELEASE.encode()))
