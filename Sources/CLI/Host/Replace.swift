internal import FoundationEssentials
internal import Glibc

extension FileManager {
    /// rename(2): readers see the old file or the new one, never a part.
    func moveReplacing(_ source: String, _ target: String) throws(CLIError) {
        guard rename(source, target) == 0 else {
            throw CLIError(.folderUnusable, "Cannot replace \(target): \(systemError()).")
        }
    }
}
