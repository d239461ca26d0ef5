"""Whatever stands in a sales table, a report that is JSON comes out, and says what is wrong."""

import json
import unittest

from examples.tests import agents


def refuse(constant):
    """JSON has no such number."""
    raise AssertionError(f"{constant} is no JSON")


class SalesReportTests(unittest.TestCase):
    """Tables with values that are no sales."""

    def report(self, *rows):
        table = "\n".join(["date,region,product,units,revenue", *rows])
        done = agents.run("sales_report", json.dumps({"input": {"csv": table}}))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout, parse_constant=refuse)

    def test_what_is_no_number_is_a_problem_of_the_data(self):
        odd = ("nan", "inf", "-inf", "Infinity", "1e400", "1e308", "-1", "many", "")
        rows = [f"2026-01-0{day + 1},north,tea,1,{revenue}" for day, revenue in enumerate(odd)]
        made = self.report("2026-02-01,north,tea,2,3.5", *rows, f"2026-02-02,north,tea,1{'0' * 400},1")
        self.assertEqual(made["rows"], 1)
        self.assertEqual(made["revenue"], 3.5)
        self.assertEqual(made["data_problem_count"], len(odd) + 1)
        self.assertEqual([one["line"] for one in made["data_problems"]], list(range(3, 4 + len(odd))))


if __name__ == "__main__":
    unittest.main()
