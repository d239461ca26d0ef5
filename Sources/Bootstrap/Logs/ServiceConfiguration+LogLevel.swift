package import Logging

extension ServiceConfiguration {
    /// `GOLDEN_LOG_LEVEL`: the least severe level that is written, `info` when absent.
    package func logLevel() throws(BootstrapError) -> Logger.Level {
        try choice("GOLDEN_LOG_LEVEL", default: Logger.Level.info)
    }
}
