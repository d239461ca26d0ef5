import Testing

@testable import OrchestratorCore

@Suite struct `Unified diff` {
    private func diff(_ old: String, _ new: String) -> String {
        UnifiedDiff.text(from: old, to: new, oldName: "a", newName: "b")
    }

    @Test func `equal texts have no difference`() {
        #expect(diff("one\ntwo\n", "one\ntwo\n").isEmpty)
        #expect(diff("", "").isEmpty)
    }

    @Test func `a changed line stands among three lines around it`() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
        let expected = """
            --- a
            +++ b
            @@ -2,7 +2,7 @@
             2
             3
             4
            -5
            +five
             6
             7
             8

            """
        #expect(diff(old, "1\n2\n3\n4\nfive\n6\n7\n8\n9\n") == expected)
    }

    @Test func `changes far apart are two hunks and near each other one`() {
        let lines = (1...20).map(String.init)
        func text(_ changed: Set<Int>) -> String {
            lines.map { changed.contains(Int($0) ?? 0) ? "x\n" : $0 + "\n" }.joined()
        }
        #expect(marked("@@", diff(text([]), text([2, 19]))) == 2)
        #expect(marked("@@", diff(text([]), text([8, 14]))) == 1)
    }

    @Test func `a first version is all added`() {
        #expect(diff("", "one\ntwo\n") == "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+one\n+two\n")
        #expect(diff("one\n", "") == "--- a\n+++ b\n@@ -1,1 +0,0 @@\n-one\n")
    }

    @Test func `a newline missing at the end is a difference`() {
        let mark = "\\ No newline at end of file"
        #expect(diff("one", "one\n") == "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-one\n\(mark)\n+one\n")
        #expect(diff("a\none", "b\none") == "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-a\n+b\n one\n\(mark)\n")
    }

    @Test func `texts that look alike and are other bytes differ`() {
        #expect(!diff("e\u{301}\n", "\u{e9}\n").isEmpty)
        #expect(!diff("one\r\n", "one\n").isEmpty)
    }

    @Test func `a whole rewrite of many lines is bounded work and still true`() {
        let old = (0..<5000).map { "old \($0)\n" }.joined()
        let new = (0..<5000).map { "new \($0)\n" }.joined()
        let difference = diff("same\n" + old, "same\n" + new)
        #expect(difference.hasPrefix("--- a\n+++ b\n@@ -1,5001 +1,5001 @@\n same\n-old 0\n"))
        #expect(marked("-old", difference) == 5000 && marked("+new", difference) == 5000)
    }

    private func marked(_ prefix: String, _ difference: String) -> Int {
        difference.split(separator: "\n").filter { $0.hasPrefix(prefix) }.count
    }
}
