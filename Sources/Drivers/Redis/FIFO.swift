/// A first-in, first-out queue over one array; both ends cost amortised constant time.
struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func append(contentsOf more: some Sequence<Element>) {
        for element in more { elements.append(element) }
    }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        // Emptied slots hold no references and are dropped once they are the larger half.
        elements[head] = nil
        head += 1
        if head * 2 > elements.count, head > 32 {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// The elements, first in first; the queue is empty afterwards.
    mutating func removeAll() -> [Element] {
        defer {
            elements = []
            head = 0
        }
        return all
    }

    /// The elements, first in first.
    var all: [Element] { elements[head...].compactMap { $0 } }
}
