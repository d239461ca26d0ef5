package import Contracts

extension Problem {
    /// 400 for bytes that are not acceptable JSON, 422 for JSON of the wrong shape, naming the field.
    package init(_ error: JSONError) {
        let code: ProblemCode =
            switch error.code {
            case .malformed: .malformedBody
            case .badUTF8: .badUTF8
            case .nulInText: .nulInText
            case .duplicateKey: .duplicateField
            case .tooDeep: .tooDeep
            case .wrongShape: .validationFailed
            }
        let errors = error.code == .wrongShape ? [FieldError(field: error.path, message: error.message)] : []
        self.init(code, error.description, errors: errors)
    }
}
