"""What the reviewers find, where, and what they leave alone."""

import unittest

from examples.tests import agents  # noqa: F401 - sets the path
import docs_tests_reviewer
import quality_reviewer
import review_kit
import security_reviewer

SECURITY = [
    # SQL put together from values, in each way there is
    ("def f(c, x):\n    c.execute(f\"SELECT a FROM t WHERE b = '{x}'\")\n", [("sql-injection", 2)]),
    ("def f(c, x):\n    q = 'SELECT a FROM t WHERE b = ' + x\n    c.execute(q)\n", [("sql-injection", 2)]),
    ("def f(c, x):\n    c.execute(\"DELETE FROM t WHERE b = '%s'\" % x)\n", [("sql-injection", 2)]),
    ("def f(c, x):\n    c.execute('UPDATE t SET a = {}'.format(x))\n", [("sql-injection", 2)]),
    (
        "def f(c, x):\n    q = 'SELECT a FROM t'\n    q += f' WHERE b = {x}'\n    c.execute(q)\n",
        [("sql-injection", 3)],
    ),
    (
        "from sqlalchemy import text\ndef f(c, x):\n    c.execute(text(f'SELECT a FROM t WHERE b = {x}'))\n",
        [("sql-injection", 3)],
    ),
    # and where nothing from outside gets in
    ("def f(c, x):\n    c.execute('SELECT a FROM t WHERE b = ?', (x,))\n", []),
    ("TABLE = 't'\ndef f(c, x):\n    c.execute(f'SELECT a FROM {TABLE} WHERE b = ?', (x,))\n", []),
    ("def f(c, xs):\n    m = ', '.join('?' * len(xs))\n    c.execute(f'SELECT a FROM t WHERE b IN ({m})', xs)\n", []),
    (
        "ORDER = {'a': 'a ASC', 'b': 'b DESC'}\ndef f(c, x):\n    c.execute(f'SELECT a FROM t ORDER BY {ORDER[x]}')\n",
        [],
    ),
    ("def f(c, n):\n    c.execute(f'SELECT a FROM t LIMIT {int(n)}')\n", []),
    ("def f(pool, x):\n    pool.execute(f'job {x}')\n", []),
    ("def f(x):\n    print(f'SELECT a FROM t WHERE b = {x}')\n", []),
    # shells
    ("import os\ndef f(x):\n    os.system('ls ' + x)\n", [("shell-injection", 3)]),
    ("from subprocess import run as go\ndef f(x):\n    go(f'ls {x}', shell=True)\n", [("shell-injection", 3)]),
    ("import subprocess\ndef f(x):\n    subprocess.run(['ls', x], check=True)\n", []),
    ("import os\nos.system('ls')\n", [("shell", 2)]),
    # code as data
    ("def f(x):\n    return eval(x)\n", [("dynamic-code", 2)]),
    ("import ast\ndef f(x):\n    return ast.literal_eval(x)\n", []),
    ("def f(model):\n    model.eval()\n", []),
    ("import pickle\ndef f(x):\n    return pickle.loads(x)\n", [("unsafe-deserialization", 3)]),
    ("import yaml\ndef f(x):\n    return yaml.load(x)\n", [("unsafe-yaml", 3)]),
    ("import yaml\ndef f(x):\n    return yaml.load(x, Loader=yaml.SafeLoader)\n", []),
    ("import tempfile\np = tempfile.mktemp()\n", [("insecure-temp-file", 2)]),
    # paths
    ("import os\ndef f(name):\n    return open(os.path.join('data', name)).read()\n", [("path-traversal", 3)]),
    ("def f(base, name):\n    return (base / name).read_text()\n", [("path-traversal", 2)]),
    ("def f(base, name):\n    p = (base / name).resolve()\n    p.relative_to(base)\n    return p.read_text()\n", []),
    ("def f(path):\n    return open(path)\n", []),
    # passwords, TLS, randomness
    (
        "import hashlib\ndef f(password):\n    return hashlib.md5(password.encode()).hexdigest()\n",
        [("weak-password-hash", 3)],
    ),
    ("import hashlib\ndef f(data):\n    return hashlib.md5(data).hexdigest()\n", []),
    ("import requests\nrequests.get('https://a', verify=False)\n", [("tls-not-verified", 2)]),
    (
        "import ssl\nc = ssl.create_default_context()\nc.check_hostname = False\nc.verify_mode = ssl.CERT_NONE\n",
        [("tls-not-verified", 3), ("tls-not-verified", 4)],
    ),
    ("import random\ntoken = random.randint(0, 9)\n", [("weak-random", 2)]),
    ("import random\ndelay = random.random()\n", []),
    # secrets
    ("API_KEY = 'q7Zt9LmX2vRw4KpB8sYd'\n", [("hard-coded-secret", 1)]),
    ("settings = {'db_password': 'tr0ub4dor&3x'}\n", [("hard-coded-secret", 1)]),
    ("k = 'AKIA" + "IOSFODNN7EXAMPLE'\n", [("hard-coded-secret", 1)]),
    ("API_KEY = 'your-api-key-here'\nPASSWORD = 'changeme'\nTOKEN = '<token>'\n", []),
    ("import os\nAPI_KEY = os.environ['API_KEY']\n", []),
    ("TOKEN_URL = 'https://example.com/oauth/token'\ntoken_name = 'session'\nPASSWORD_FIELD = 'password'\n", []),
    ("key = 'a plain sentence as a value'\n", []),
    # text that reads otherwise than it runs
    ("x = 1  # \u202e hidden\n", [("hidden-text", 1)]),
    ("x = 'Größe 👩\u200d👧'\n", []),
]

QUALITY = [
    ("def f():\n    try:\n        g()\n    except:\n        pass\ndef g():\n    pass\n", [("bare-except", 4)]),
    (
        "def f():\n    try:\n        g()\n    except Exception:\n        pass\ndef g():\n    pass\n",
        [("swallowed-error", 4)],
    ),
    (
        "def f():\n    try:\n        g()\n    except Exception:\n        return 1\ndef g():\n    pass\n",
        [("broad-except", 4)],
    ),
    ("import logging\ndef f():\n    try:\n        f()\n    except Exception:\n        logging.exception('f')\n", []),
    ("def f():\n    try:\n        f()\n    except Exception as e:\n        raise ValueError from e\n", []),
    ("def f():\n    try:\n        f()\n    except ValueError:\n        pass\n", []),
    ("def f():\n    try:\n        f()\n    finally:\n        return 1\n", [("finally-leaves", 5)]),
    ("def f(x=[]):\n    return x\n", [("mutable-default", 1)]),
    ("def f(*, x={}):\n    return x\n", [("mutable-default", 1)]),
    ("def f(x=(), y=None):\n    return x, y\n", []),
    ("import os\nimport re\nprint(re)\n", [("unused-import", 1)]),
    ("from a import b as b\nimport c.d\nprint(c.d)\n", []),
    ("try:\n    import a\nexcept ImportError:\n    a = None\n", []),
    ("def f():\n    return 1\n    print(2)\n", [("unreachable-code", 3)]),
    ("def f():\n    x = 1\n    return 2\n", [("unused-variable", 2)]),
    ("def f():\n    x, y = 1, 2\n    return y\n", []),
    ("def f():\n    x = 1\n    def g():\n        return x\n    return g\n", []),
    ("def _f():\n    pass\n", [("unused-private", 1)]),
    ("def _f():\n    pass\n_f()\n", []),
    ("def f(list):\n    return list\n", [("shadowed-builtin", 1)]),
    ("def f(x):\n    return x == None\n", [("none-comparison", 2)]),
    ("def f(x):\n    return x is 'a'\n", [("literal-identity", 2)]),
    ("def f(p):\n    return open(p).read()\n", [("resource-leak", 2)]),
    ("def f(p):\n    a = open(p)\n    x = a.read()\n    a.close()\n    return x\n", [("resource-leak", 2)]),
    ("def f(p):\n    with open(p) as a:\n        return a.read()\n", []),
    ("def f(p):\n    a = open(p)\n    try:\n        return a.read()\n    finally:\n        a.close()\n", []),
    ("def f(p):\n    return open(p)\n", []),
    ("def f(self, p):\n    self.a = open(p)\n", []),
    ("def f():\n    pass\ndef f():\n    pass\n", [("redefinition", 3)]),
    (
        "class A:\n    @property\n    def f(self):\n        return 1\n"
        "    @f.setter\n    def f(self, v):\n        self.v = v\n",
        [],
    ),
    ("x = {'a': 1, 'a': 2}\n", [("duplicate-key", 1)]),
    ("def f():\n    return g\n", [("undefined-name", 2)]),
    ("def f():\n    global x\n    x = 1\ndef g():\n    return x\n", []),
    ("class A:\n    y = 1\n    z = y\n    def f(self):\n        return __class__\n", []),
    ("class A:\n    y = 1\n    def f(self):\n        return y\n", [("undefined-name", 4)]),
    ("from a import *\nprint(b)\n", []),
    ("import a.b\nprint(__file__, a, [c for c in 'x'], lambda d: d)\n", []),
    ("return 1\n", [("syntax-error", 1)]),
    (
        "def f(x):\n" + "".join(f"    if x == {i}:\n        return {i}\n" for i in range(10)),
        [("complex-function", 1)],
    ),
    ("def f(x):\n" + "".join(f"    if x == {i}:\n        return {i}\n" for i in range(9)), []),
    (
        "def f(x):\n    if x == 1:\n        return 1\n"
        + "".join(f"    elif x == {i}:\n        return {i}\n" for i in range(8)),
        [],
    ),
    ("def f(x):\n" + "    x += 1\n" * 60, [("long-function", 1)]),
    (
        "def f(x):\n    for a in x:\n        for b in a:\n            if b:\n                for c in b:\n"
        "                    if c:\n                        return c\n",
        [("deep-nesting", 1)],
    ),
]

CODE = (
    '"""Adds."""\n\n\ndef add(left, right):\n    """Add left and right."""\n    total = left + right\n'
    "    return total\n"
)
TEST = "import unittest\nimport a\nclass T(unittest.TestCase):\n    def test_add(self):\n        "
DOCS_TESTS = [
    ({"a.py": CODE, "test_a.py": TEST + "self.assertEqual(a.add(1, 2), 3)\n"}, []),
    ({"a.py": CODE, "test_a.py": "from a import add\ndef test_add():\n    assert add(1, 2) == 3\n"}, []),
    ({"a.py": CODE}, [("missing-tests", 4)]),
    ({"a.py": CODE, "test_a.py": TEST + "self.assertEqual(1 + 1, 2)\n"}, [("untested-function", 4)]),
    ({"a.py": CODE, "test_a.py": TEST + "a.add(1, 2)\n"}, [("test-without-assertion", 4)]),
    ({"a.py": CODE, "test_a.py": TEST + "a.add(1, 2)\n        self.assertTrue(True)\n"}, [("vacuous-assertion", 6)]),
    (
        {"a.py": CODE, "test_a.py": TEST + "x = a.add(1, 2)\n        self.assertEqual(x, x)\n"},
        [("vacuous-assertion", 6)],
    ),
    ({"a.py": CODE, "test_a.py": TEST + "assert a.add(1, 2) or True\n"}, [("vacuous-assertion", 5)]),
    ({"a.py": CODE, "test_a.py": TEST + "assert (a.add(1, 2) == 4, 'sum')\n"}, [("vacuous-assertion", 5)]),
    ({"a.py": CODE, "test_a.py": TEST + "self.assertEqual(a.subtract(a.add(1, 2)), 3)\n"}, [("unknown-name", 5)]),
    (
        {"a.py": CODE, "test_a.py": "from a import add, gone\ndef test_add():\n    assert add(1, 2) == gone\n"},
        [("unknown-name", 1)],
    ),
    (
        {"a.py": CODE, "test_a.py": TEST + "with self.assertRaises(Exception):\n            a.add(1)\n"},
        [("broad-expectation", 5)],
    ),
    ({"a.py": CODE, "test_a.py": TEST + "with self.assertRaises(TypeError):\n            a.add(1)\n"}, []),
    (
        {
            "a.py": CODE,
            "test_a.py": TEST + "try:\n            self.assertEqual(a.add(1, 2), 4)\n        except AssertionError:\n"
            "            pass\n",
        },
        [("swallowed-failure", 7)],
    ),
    (
        {
            "a.py": CODE,
            "test_a.py": TEST + "self.assertEqual(a.add(1, 2), 3)\n    def test_add(self):\n"
            "        self.assertEqual(a.add(2, 2), 4)\n",
        },
        [("duplicate-test", 6)],
    ),
    ({"a.py": CODE, "test_a.py": "import a\n\n\ndef check_add():\n    assert a.add(1, 2) == 3\n"}, [("no-tests", 1)]),
    ({"a.py": CODE, "test_a.py": "def test_add(:\n"}, [("syntax-error", 1), ("missing-tests", 4)]),
    (
        {
            "a.py": CODE.replace('    """Add left and right."""\n', "") + "",
            "test_a.py": TEST + "assert a.add(1, 2) == 3\n",
        },
        [("missing-docstring", 4)],
    ),
    (
        {
            "a.py": CODE.replace("Add left and right.", "Add two numbers."),
            "test_a.py": TEST + "assert a.add(1, 2) == 3\n",
        },
        [("undocumented-parameter", 4)],
    ),
    (
        {"a.py": CODE.replace('"""Adds."""\n\n\n', ""), "test_a.py": TEST + "assert a.add(1, 2) == 3\n"},
        [("missing-module-docstring", 1)],
    ),
    ({"a.py": '"""Private."""\n\n\ndef _add(left):\n    total = left + 1\n    return total\n'}, []),
]


class FindingTests(unittest.TestCase):
    """One row of a table: code, and the rules and lines found in it."""

    def check(self, analyse, files, expected):
        found = sorted((c["rule"], c["line"]) for c in analyse(files))
        self.assertEqual(found, sorted(expected), f"\n{files}")

    def test_security(self):
        for code, expected in SECURITY:
            with self.subTest(code):
                self.check(security_reviewer.analyse, {"a.py": code}, expected)

    def test_quality(self):
        for code, expected in QUALITY:
            with self.subTest(code):
                self.check(quality_reviewer.analyse, {"a.py": code}, expected)

    def test_documentation_and_tests(self):
        for files, expected in DOCS_TESTS:
            with self.subTest(files.get("test_a.py", "no tests")):
                self.check(docs_tests_reviewer.analyse, files, expected)

    def test_secrets_in_other_files(self):
        found = security_reviewer.analyse(
            {".env": "# none\nDB_PASSWORD=tr0ub4dor&3x\nDEBUG=1\n", "README.md": "token: abc\n"}
        )
        self.assertEqual([(c["file"], c["line"], c["rule"]) for c in found], [(".env", 2, "hard-coded-secret")])

    def test_the_agents_themselves_are_secure(self):
        files = {path.name: path.read_text(encoding="utf-8") for path in agents.AGENTS.glob("*.py")}
        self.assertGreater(len(files), 8)
        self.assertEqual(security_reviewer.analyse(files), [])
        serious = [c for c in quality_reviewer.analyse(files) if c["severity"] == "high"]
        self.assertEqual(serious, [])

    def test_every_severity_leads_to_its_vote(self):
        def one(severity):
            return review_kit.concern("a.py", 1, "r", severity, "m", "f")

        self.assertEqual(review_kit.choice([]), "approve")
        self.assertEqual(review_kit.choice([one("low")] * 5), "approve")
        self.assertEqual(review_kit.choice([one("low")] * 6), "conditional")
        self.assertEqual(review_kit.choice([one("low"), one("medium")]), "conditional")
        self.assertEqual(review_kit.choice([one("medium"), one("high")]), "reject")


if __name__ == "__main__":
    unittest.main()
