import Contracts
import Foundation

/// The bus: at least once, in any order, some of it never.
extension World {
    /// True when the bus confirmed that it has the message. Whoever is not told may publish it again.
    func publish(_ id: MessageID, _ parcel: Parcel) -> Bool {
        if misfortune(25) {
            note("lost on its way to the bus: \(parcel.text)")
            return false
        }
        // The window forgets, as it does when the server is started anew.
        if duplicateWindow.insert(id).inserted || misfortune(8) {
            letters.append(Letter(parcel: parcel))
            let isLate = misfortune(10)
            plan(.deliver(letters.count - 1), after: isLate ? dice.between(5, 60) : dice.between(0.01, 2))
        }
        if misfortune(25) {
            note("the bus's confirmation was lost: \(parcel.text)")
            return false
        }
        return true
    }

    func deliver(_ letter: Int) {
        guard !letters[letter].isSettled else { return }
        let parcel = letters[letter].parcel
        note("delivery: \(parcel.text)")
        switch consume(parcel, letter) {
        case .acknowledge: settle(letter)
        case .handBack(let seconds): plan(.deliver(letter), after: seconds)
        case .hold: break
        }
    }

    /// The consumer is done with it; should its word be lost, the bus delivers again.
    func settle(_ letter: Int) {
        if misfortune(15) {
            plan(.deliver(letter), after: 30)
        } else {
            letters[letter].isSettled = true
        }
    }

    private func consume(_ parcel: Parcel, _ letter: Int) -> Settlement {
        switch parcel {
        case .work(let item): return takeWork(item, letter)
        case .report(let report): return takeReport(report)
        case .decision(let decision): return takeDecision(decision)
        case .reviewRequest(let request): return openReview(request)
        case .seat(let session, let role): return takeSeat(session, role)
        case .vote(let vote): return countVote(vote)
        case .closeReview(let session): return closeReview(session)
        case .escalation(let id):
            if let index = database.escalations.firstIndex(where: { $0.id == id }) {
                plan(.resolve(index), after: dice.between(0.1, 20))
            }
            return .acknowledge
        }
    }

    /// A stream is gone with all it holds. Somebody notices.
    func wipe(_ stream: Parcel.Stream) {
        note("the stream \(stream) is wiped")
        for index in letters.indices where letters[index].parcel.stream == stream { letters[index].isSettled = true }
        duplicateWindow.removeAll()
        lostStreams.insert(stream)
    }
}
