/// This build of Golden. The file `VERSION` holds the same text; a test keeps the two equal.
package enum Version {
    package static let current = "0.1.0"
}
