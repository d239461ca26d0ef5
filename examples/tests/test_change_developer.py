"""The developer's changes are real: they run, its tests can fail, and what it cannot mend it says."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from examples.tests import agents
import change_developer
import code_fixes

ROUNDS_MAX = 4


def tests_pass(files):
    """Whether the files' own tests pass, run for real; only for files of these tests."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            pathlib.Path(folder, path).write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "unittest"],
            cwd=folder,
            capture_output=True,
            check=False,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return done.returncode == 0 and b"Ran 0 tests" not in done.stderr


def develop(task, plan=None, previous=None):
    """One attempt of the developer, as a process."""
    item = {
        "v": 1,
        "kind": "work",
        "input": task,
        **({"plan": plan, "previous": previous} if plan is not None else {}),
    }
    done = agents.run("change_developer", json.dumps(item))
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def review(artifact):
    """The three reviewers' votes."""
    text = json.dumps(artifact, ensure_ascii=False)
    return {role: agents.vote(agent, text) for role, agent in agents.REVIEWERS.items()}


def input_of(name):
    """The input of a task in examples/tasks."""
    return json.loads((agents.EXAMPLES / "tasks" / f"{name}.json").read_text(encoding="utf-8"))["input"]


def rounds(task):
    """Attempts and their votes, until all approve or there were too many."""
    made, plan = None, None
    for _ in range(ROUNDS_MAX):
        made = develop(task, plan, made)
        votes = review(made)
        yield made, votes
        if all(v["vote"] == "approve" for v in votes.values()):
            return
        plan = {"reviewers": [{"role": role, "concerns": v["concerns"]} for role, v in votes.items()]}


class ReviewedTasksTests(unittest.TestCase):
    """The tasks of examples/tasks, from the first attempt to the last vote."""

    def check(self, name, refused_for):
        (first, first_votes), (second, second_votes) = rounds(input_of(name))
        self.assertEqual(first_votes["security"]["vote"], "reject")
        rules = {c["rule"] for v in first_votes.values() for c in v["concerns"]}
        self.assertLessEqual(refused_for, rules)
        self.assertEqual({v["vote"] for v in second_votes.values()}, {"approve"})
        self.assertEqual(second["left"], [])
        if "yaml" not in json.dumps(second["files"]):
            self.assertTrue(tests_pass(second["files"]))
        return first, second

    def test_a_query(self):
        first, second = self.check("reviewed-change", {"sql-injection", "missing-tests"})
        self.assertEqual(first["checks"], {"has_tests": False, "has_documentation": True, "code_quality": True})
        self.assertEqual(set(second["checks"].values()), {True})
        # The new tests are about the flaw: with the first attempt's code they fail.
        self.assertFalse(tests_pass({**second["files"], "orders.py": first["files"]["orders.py"]}))

    def test_a_table(self):
        self.check(
            "reviewed-lookup",
            {
                "hard-coded-secret",
                "bare-except",
                "mutable-default",
                "resource-leak",
                "untested-function",
                "missing-docstring",
            },
        )

    def test_a_new_name(self):
        _, second = self.check("reviewed-rename", {"shell-injection", "unsafe-yaml", "unreachable-code"})
        text = json.dumps(second["files"])
        self.assertNotIn("do_it", text)
        self.assertIn("compress_backup", second["files"]["test_backup.py"])

    def test_what_takes_a_decision_stays_refused(self):
        all_rounds = list(rounds(input_of("reviewed-stuck")))
        self.assertEqual(len(all_rounds), ROUNDS_MAX)
        last, votes = all_rounds[-1]
        self.assertEqual(votes["security"]["vote"], "reject")
        self.assertEqual([c["rule"] for c in last["left"]], ["dynamic-code"])
        self.assertIn("dynamic-code", last["summary"])

    def test_good_style_is_followed_too(self):
        task = input_of("reviewed-change")
        task["files"] = {
            "orders.py": '"""Orders."""\n\n\ndef remove(connection, id):\n    """Remove by connection and id."""\n'
            '    connection.execute("DELETE FROM orders WHERE id = ?", (id,))\n'
        }
        made = develop(task)
        self.assertIn('customer = ?", (customer,)', made["files"]["orders.py"])
        self.assertEqual(review(made)["security"]["vote"], "approve")

    def test_guards_are_seen_to(self):
        task = input_of("reviewed-lookup")
        plan = {"fixes": [{"guard": g} for g in ("has_tests", "code_quality", "has_documentation")]}
        made = develop(task, plan, develop(task))
        self.assertEqual(set(made["checks"].values()), {True})
        self.assertNotIn("except:", made["files"]["shipping.py"])

    def test_without_what_was_made_before_it_is_made_again(self):
        task = input_of("reviewed-change")
        first = develop(task)
        concerns = [c for v in review(first).values() for c in v["concerns"]]
        again = agents.run("change_developer", json.dumps({"input": task, "plan": {"concerns": concerns}}))
        self.assertEqual(json.loads(again.stdout)["files"], develop(task, {"concerns": concerns}, first)["files"])


FIXES = [
    (
        "sql-injection",
        2,
        "def f(c, x):\n    c.execute(f\"SELECT a FROM t WHERE b LIKE '%{x}%' AND d = {x.y}\")\n",
        "def f(c, x):\n    c.execute(\"SELECT a FROM t WHERE b LIKE ? AND d = ?\", (f'%{x}%', x.y))\n",
    ),
    (
        "sql-injection",
        2,
        "def f(c, x):\n    q = \"DELETE FROM t WHERE b = '%s'\" % x\n    return c.execute(q)\n",
        'def f(c, x):\n    q = "DELETE FROM t WHERE b = ?"\n    return c.execute(q, (x,))\n',
    ),
    (
        "sql-injection",
        3,
        "import psycopg2\ndef f(c, x):\n    c.execute('SELECT a FROM t WHERE b = ' + x)\n",
        'import psycopg2\ndef f(c, x):\n    c.execute("SELECT a FROM t WHERE b = %s", (x,))\n',
    ),
    # A table's name cannot be a parameter, and a list is not one value.
    ("sql-injection", 2, "def f(c, x):\n    c.execute(f'SELECT a FROM {x}')\n", None),
    ("sql-injection", 2, "def f(c, x):\n    c.execute(f'SELECT a FROM t ORDER BY {x}')\n", None),
    ("sql-injection", 2, "def f(c, x):\n    c.execute(f\"SELECT a FROM t WHERE b IN ({','.join(x)})\")\n", None),
    (
        "sql-injection",
        2,
        "def f(c, x):\n    q = f'SELECT a FROM t WHERE b = {x}'\n    x = 2\n    x = 3\n    c.execute(q)\n",
        None,
    ),
    (
        "shell-injection",
        3,
        "import os\ndef f(x):\n    os.system(f'rm -r {x} --dir={x}')\n",
        'import subprocess\n\n\ndef f(x):\n    subprocess.run(["rm", "-r", str(x), f\'--dir={x}\'], check=False)\n',
    ),
    ("shell-injection", 3, "import os\ndef f(x):\n    os.system(f'cat {x} | wc')\n", None),
    (
        "unsafe-yaml",
        2,
        "import yaml\nx = yaml.load('a', Loader=yaml.Loader)\n",
        "import yaml\nx = yaml.safe_load('a')\n",
    ),
    (
        "tls-not-verified",
        2,
        "import requests\nx = requests.get('https://a', verify=False, timeout=3)\n",
        "import requests\nx = requests.get('https://a', timeout=3)\n",
    ),
    (
        "bare-except",
        4,
        "def f(x):\n    try:\n        return int(x)\n    except:\n        return 0\n",
        "def f(x):\n    try:\n        return int(x)\n    except ValueError:\n        return 0\n",
    ),
    (
        "broad-except",
        4,
        "def f(x):\n    try:\n        return open(x[0])\n    except Exception as e:\n        return e\n",
        "def f(x):\n    try:\n        return open(x[0])\n    except (LookupError, OSError) as e:\n        return e\n",
    ),
    ("bare-except", 4, "def f(x):\n    try:\n        return x()\n    except:\n        return 0\n", None),
    (
        "mutable-default",
        1,
        'def f(x={}):\n    """Do."""\n    return x\n',
        'def f(x=None):\n    """Do."""\n    if x is None:\n        x = {}\n    return x\n',
    ),
    (
        "resource-leak",
        2,
        "def f(p):\n    a = open(p)\n    x = a.read()\n\n    y = x\n    a.close()\n    return y\n",
        "def f(p):\n    with open(p) as a:\n        x = a.read()\n\n        y = x\n    return y\n",
    ),
    ("resource-leak", 2, "def f(p):\n    a = open(p)\n    return a.read()\n", None),
    (
        "resource-leak",
        2,
        "def f(p):\n    return open(p).read()\n",
        "def f(p):\n    with open(p) as source:\n        return source.read()\n",
    ),
    ("unused-import", 1, "from a import b, c\nprint(c)\n", "from a import c\nprint(c)\n"),
    (
        "unreachable-code",
        3,
        "def f():\n    return 1\n    a()\n    b()\n\n\nx = 1\n",
        "def f():\n    return 1\n\n\nx = 1\n",
    ),
    ("unused-variable", 2, "def f():\n    é, x = 1, 2\n    y = f()\n    return x\n", None),
    (
        "unused-variable",
        3,
        "def f():\n    é = 1\n    y = f()\n    return é\n",
        "def f():\n    é = 1\n    f()\n    return é\n",
    ),
    ("unused-variable", 2, "def f():\n    y = 1\n", "def f():\n    pass\n"),
    ("none-comparison", 1, "x = 'é' != None\n", "x = 'é' is not None\n"),
    ("hard-coded-secret", 1, "KEY = 'q7Zt9LmX2vRw4KpB8sYd'\n", 'import os\n\n\nKEY = os.environ.get("KEY")\n'),
    ("dynamic-code", 1, "x = eval(y)\n", None),
    ("a rule of somebody else's", 1, "x = 1\n", None),
    ("sql-injection", 99, "x = 1\n", None),
]


class FixTests(unittest.TestCase):
    """One row of a table: a rule and a line, the code before, and the code after or None when there is no safe fix."""

    def test_each_fix(self):
        for rule, line, before, after in FIXES:
            with self.subTest(rule=rule, before=before):
                text, done, left = code_fixes.mend("a.py", before, [{"rule": rule, "line": line, "file": "a.py"}])
                self.assertEqual(text, after or before)
                self.assertEqual((len(done), len(left)), (1, 0) if after else (0, 1))

    def test_names_are_changed_where_they_are_names(self):
        files = {
            "a.py": "def old():\n    return 'old'\n\n\nx = old() + obj.old\n",
            "b.py": "from a import old as o, other\no()\n",
            "c.txt": "old",
        }
        made = change_developer.rename_function(files, {"from": "old", "to": "new"})
        self.assertEqual(
            made,
            {
                "a.py": "def new():\n    return 'old'\n\n\nx = new() + obj.new\n",
                "b.py": "from a import new as o, other\no()\n",
                "c.txt": "old",
            },
        )

    def test_inputs_that_nobody_can_work_on_are_refused_with_a_reason(self):
        change = {"kind": "add_query", "file": "a.py", "function": "f", "table": "t", "columns": ["a"]}
        bad = [
            7,
            {},
            {"files": {}},
            {"files": {"a.py": "x = 1"}},
            {"files": {"a.py": "x = 1"}, "change": {"kind": "magic"}},
        ]
        bad += [
            {"files": {"a.py": "x = 1"}, "change": {**change, **wrong}}
            for wrong in (
                {"table": "t; DROP TABLE t"},
                {"columns": ["a b"]},
                {"columns": []},
                {"function": "def"},
                {"file": "../b.py"},
                {"where": "a"},
                {"kind": "rename_function", "from": "a", "to": "a b"},
                {"kind": "add_table", "values": {}},
                {"kind": "rename_function", "from": "absent", "to": "other"},
            )
        ]
        bad += [
            {"files": {"a.py": text}, "change": change}
            for text in ("def f():\n    pass\n", "def (:\n", "\0", "(" * 9999)
        ]
        for task in bad:
            with self.subTest(task):
                done = agents.run("change_developer", json.dumps({"input": task}))
                self.assertEqual(done.returncode, 65, done.stdout)
                self.assertNotIn(b"Traceback", done.stderr)
                self.assertTrue(done.stderr)

    def test_plans_of_any_shape_are_read(self):
        task = input_of("reviewed-change")
        first = develop(task)
        mended = develop(task, {"note": "again, please"}, first)["files"]
        self.assertIn("WHERE customer = ?", mended["orders.py"])
        odd = {"rule": "sql-injection", "line": -5, "file": "orders.py"}
        for plan in (7, "text", [], {"fixes": 7}, {"fixes": [{"guard": ["x"]}]}, [odd], {**odd, "line": "5"}):
            self.assertEqual(develop(task, plan, first)["files"], mended)
        left = develop(task, {"rule": "x", "line": 10**30, "file": "gone.py"}, first)["left"]
        self.assertEqual([c["rule"] for c in left], ["x"])

    def test_one_reviewer_s_concerns_are_enough_to_mend_all(self):
        task = input_of("reviewed-lookup")
        first = develop(task)
        for role, said in review(first).items():
            made = develop(task, {"review": {"concerns": [{"role": role, "concerns": said["concerns"]}]}}, first)
            self.assertEqual({v["vote"] for v in review(made).values()}, {"approve"}, role)


if __name__ == "__main__":
    unittest.main()
