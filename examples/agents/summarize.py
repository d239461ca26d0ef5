#!/usr/bin/env python3
"""Picks the sentences that say most of a text: an extractive summary.

Input (one of `text` and `text_file`):
    text         the text
    text_file    a file below examples/data
    sentences    how many to pick; 4 when absent

Sentences are scored by how often their words occur in the whole text, frequent empty words aside (Luhn, 1958), each
picked one lowering the worth of its words, so that the next says something new.
"""
import collections
import json
import pathlib
import re
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
EMPTY = set(
    "a about after all also an and any are as at be because been before being between but by can could did do does "
    "during each for from had has have he her his how i if in into is it its just more most no not of off on once one "
    "only or other our out over she so some such than that the their them then there these they this those through to "
    "too two under until up very was we were what when where which while who why will with would you your".split()
)
REJECTED = 65


def reject(why):
    print(why, file=sys.stderr)
    sys.exit(REJECTED)


def read_text(task):
    if isinstance(task.get("text"), str):
        return task["text"]
    name = task.get("text_file")
    if not isinstance(name, str):
        reject("The input needs `text`, or `text_file`, a file below examples/data.")
    path = (DATA / name).resolve()
    if not path.is_relative_to(DATA) or not path.is_file():
        reject(f"There is no file {name!r} below examples/data.")
    return path.read_text(encoding="utf-8")


def words(text):
    return [word for word in re.findall(r"[a-zA-ZÀ-ÿ][\w'-]+", text.lower()) if word not in EMPTY]


def main():
    task = json.load(sys.stdin)["input"]
    if not isinstance(task, dict):
        reject("The input must be an object.")
    wanted = task.get("sentences", 4)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= 50:
        reject("`sentences` must be a whole number from 1 to 50.")
    text = read_text(task)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    sentences = [found for part in paragraphs for found in re.split(r"(?<=[.!?])\s+(?=[\"'(A-Z0-9])", part) if words(found)]
    if not sentences:
        reject("The text has no sentence.")
    print(json.dumps({"progress": "read the text", "data": {"sentences": len(sentences)}}), file=sys.stderr, flush=True)
    worth = collections.Counter(words(text))
    keywords = [word for word, _ in worth.most_common(8)]
    picked = set()
    while len(picked) < min(wanted, len(sentences)):
        rest = [index for index in range(len(sentences)) if index not in picked]
        best = max(rest, key=lambda index: sum(worth[word] for word in set(words(sentences[index])))
                   / (len(words(sentences[index])) + 4))
        picked.add(best)
        for word in words(sentences[best]):
            worth[word] //= 2
    json.dump({"summary": [sentences[index] for index in sorted(picked)], "keywords": keywords,
               "sentences": len(sentences)}, sys.stdout)


if __name__ == "__main__":
    main()
