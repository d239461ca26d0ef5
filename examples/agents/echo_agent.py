#!/usr/bin/env python3
"""The smallest agent: reads its work item, says one thing, and returns the input."""
import json
import sys

item = json.load(sys.stdin)
print(json.dumps({"progress": f"attempt {item['attempt']} of {item['task_id']}"}), file=sys.stderr, flush=True)
json.dump({"echo": item["input"]}, sys.stdout)
