import Contracts
import Foundation
import OrchestratorCore

@testable import Coordination

/// One schedule: the real cores, and around them a world that loses, repeats, delays and reorders messages, in which
/// processes die between any two of their effects, until a time from which on all goes well.
///
/// Time is virtual, and chance comes from the seed alone, so that a schedule can be run again step by step.
final class World {
    /// What is going to happen.
    enum Happening {
        case submit(Int)
        case cancel(Int)
        case deliver(Int)
        case callEnds(Int)
        case speak(Int)
        case stop(TaskID, attempt: Int)
        case answer(TaskID, question: String)
        case resolve(Int)
        case spend(Int)
        case dispatch
        case upkeep
        case restart(Int)
        case wipe(Parcel.Stream)
        case flush
    }

    /// A schedule that goes on for longer will not end.
    static let stepsMax = 4000
    static let epoch = Date(timeIntervalSince1970: 1_800_000_000)

    let plant: Plant?
    var dice: Dice
    /// Seconds since the schedule began.
    var clock = 0.0
    /// From then on nothing goes wrong any more.
    let calmFrom: Double
    var agenda: [(at: Double, what: Happening)] = []
    /// Grows with everything that is planned or written, so that it shows whether anything was left to do.
    var activity = 0

    var letters: [Letter] = []
    var duplicateWindow: Set<MessageID> = []
    var derivations = 0
    var lostStreams: Set<Parcel.Stream> = []
    var database = Database()
    var fleet = FleetRecord(now: 0)

    var replicas: [Replica] = []
    var agents = [Agent(), Agent()]
    var runs: [Run] = []
    /// When the agents' dependency is down.
    var outage = 0.0...0.0
    var clients: [Client] = []
    var spenders: [Spender] = []
    var seen = Seen()

    /// What was wrong; the first of it ends the schedule.
    private(set) var fault: String?
    /// Told step by step when somebody wants to read it.
    private(set) var trace: [String]?

    init(seed: UInt64, plant: Plant?, isTraced: Bool) {
        self.plant = plant
        dice = Dice(seed: seed)
        calmFrom = dice.between(20, 150)
        if isTraced { trace = [] }
        database.money.forgetsSettlements = plant == .repeatedCharge
        prepare()
    }

    private func prepare() {
        let isShared = dice.chance(4)
        for index in 0...1 {
            let skew = dice.chance(3) ? dice.between(-3, 3) : 0
            // Of two that lead, one does not know yet that it no longer does.
            replicas.append(Replica(leads: index == 0 || isShared, skew: skew))
        }
        if dice.chance(2) {
            let start = dice.between(0, 40)
            outage = start...(start + dice.between(5, 60))
        }
        let hasAccount = dice.chance(2)
        if hasAccount { database.money.open(Scenes.account, limit: 100, at: Self.epoch.addingTimeInterval(-1)) }
        for index in 0..<(1 + dice.roll(3)) {
            clients.append(Client(workflow: dice.roll(Scenes.workflows.count), isBudgeted: hasAccount))
            plan(.submit(index), after: dice.between(0, 15))
            if dice.chance(6) { plan(.cancel(index), after: dice.between(1, 90)) }
        }
        if hasAccount, dice.chance(2) {
            spenders.append(Spender(amount: 5 + dice.roll(40), used: dice.roll(50), commits: !dice.chance(4)))
            plan(.spend(0), after: dice.between(0, 30))
        }
        for _ in 0..<(3 + dice.roll(4)) { plan(.upkeep, after: dice.between(0, calmFrom)) }
        if dice.chance(12) { plan(.wipe(dice.pick(Parcel.Stream.allCases)), after: dice.between(1, calmFrom)) }
        if dice.chance(12) { plan(.flush, after: dice.between(1, calmFrom)) }
    }

    // MARK: Time

    var now: Date { Self.epoch.addingTimeInterval(clock) }
    var isCalm: Bool { clock >= calmFrom }

    /// True once in so many times, while things go wrong.
    func misfortune(_ sides: Int) -> Bool { !isCalm && dice.chance(sides) }

    func plan(_ what: Happening, after seconds: Double) {
        activity += 1
        agenda.append((clock + seconds, what))
    }

    /// Lets everything happen until nothing is left to happen.
    func run() {
        var steps = 0
        while fault == nil {
            steps += 1
            guard steps < Self.stepsMax else { return complain("it does not come to rest") }
            if let next = agenda.indices.min(by: { agenda[$0].at < agenda[$1].at }) {
                let (at, what) = agenda.remove(at: next)
                clock = max(clock, at)
                happen(what)
            } else if !wakeUp() {
                return checkTheEnd()
            }
        }
    }

    /// Nothing is planned: what is left to do is what time or upkeep brings. False when there is nothing.
    private func wakeUp() -> Bool {
        clock = max(clock, calmFrom)
        let before = activity
        keepEverythingUp()
        if activity > before { return true }
        guard let next = nextDeadline else { return false }
        // Later than any clock that is behind.
        clock = max(clock, next) + 4
        return true
    }

    private func happen(_ what: Happening) {
        switch what {
        case .submit(let client): submit(client)
        case .cancel(let client): cancel(client)
        case .deliver(let letter): deliver(letter)
        case .callEnds(let run): endCall(run)
        case .speak(let run): speak(run)
        case .stop(let task, let attempt): stop(task, attempt: attempt)
        case .answer(let task, let question): answer(task, question)
        case .resolve(let escalation): resolve(escalation)
        case .spend(let spender): spend(spender)
        case .dispatch: dispatch()
        case .upkeep: keepSomethingUp()
        case .restart(let replica):
            note("replica \(replica) is back")
            replicas[replica].isUp = true
        case .wipe(let stream): wipe(stream)
        case .flush:
            note("Redis has forgotten everything")
            fleet = FleetRecord(now: milliseconds)
        }
    }

    // MARK: Words

    func note(_ text: @autoclosure () -> String) {
        guard trace != nil else { return }
        trace?.append("\(String(format: "%10.3f", clock))  \(text())")
    }

    func complain(_ text: String) {
        note("FAULT: \(text)")
        fault = fault ?? text
    }
}
