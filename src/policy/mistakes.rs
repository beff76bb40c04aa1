//! Says in our own words why a text is no YAML, or too much of it, and what is allowed instead.
//!
//! The parser's own messages are for those who program with it: they name its options and count its events.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;

use crate::event::Excerpt;

/// How deep lists and tables may lie in each other.
pub(super) const DEPTH_MAX: usize = 16;
/// How many values a document may hold.
pub(super) const VALUES_MAX: usize = 10_000;
/// How many aliases, and how many anchors, it may hold.
pub(super) const ALIASES_MAX: usize = 100;
/// How many keys and values its aliases may stand for, all together.
pub(super) const REPEATED_MAX: usize = 10_000;
/// How deep aliases may stand in what other aliases stand for.
pub(super) const ALIAS_DEPTH_MAX: usize = 8;

/// What is wrong with a text that could not be read, and what is allowed; where it is wrong is told beside it.
pub(super) fn told(error: &Error) -> String {
    match error.without_snippet() {
        Error::AliasError { error, .. } => told(error),
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error) => scanned(error.kind()).to_owned(),
            _ => NO_YAML.to_owned(),
        },
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => format!("\"{}\" stands here twice; allowed: each key once in a table", Excerpt::of(key)),
            None => "a key stands here twice; allowed: each key once in a table".to_owned(),
        },
        Error::MultipleDocuments { .. } => {
            "a second document begins here; allowed: one in a file, so no line of --- after the first".to_owned()
        }
        Error::UnknownAnchor { .. } => "there is no anchor of this name above; allowed: *name after an &name, and \
                                        quotes around text that begins with *"
            .to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "this alias stands in what it stands for; allowed: aliases of values that have ended above".to_owned()
        }
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => repeated(),
        Error::Budget { breach, .. } => too_much(breach),
        Error::MergeValueNotMapOrSeqOfMaps { .. } | Error::MergeKeyNotAllowed { .. } => {
            "<< takes in a table by its alias; allowed: <<: *name, where &name stands at a table above".to_owned()
        }
        Error::NullIntoString { .. } | Error::Unexpected { .. } | Error::InvalidCharNotSingleScalar { .. } => {
            "this key is no text; allowed: the names of settings as keys".to_owned()
        }
        Error::InvalidScalar { .. }
        | Error::InvalidBooleanStrict { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::BytesNotSupportedMissingBinaryTag { .. }
        | Error::TaggedEnumMismatch { .. }
        | Error::UnsupportedTag { .. }
        | Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. } => {
            "the tag before this value does not fit it; allowed: values without tags, and quotes around text that \
             begins with !"
                .to_owned()
        }
        Error::NonFiniteFloat { .. } => "this is no number to count with; allowed: whole numbers".to_owned(),
        _ => NO_YAML.to_owned(),
    }
}

const NO_YAML: &str =
    "this is no YAML of a policy; allowed: lines of `key: value` and of `- item`, spaces for indentation";
const BRACKETS: &str =
    "the brackets here do not fit together; allowed: lists as [a, b] and tables as {a: 1, b: 2}, each closed again";
const COLUMN: &str = "this line begins in no column of the lines above it; allowed: the keys of a table, and the dashes of a list, in one column";
const TABS: &str = "a tab stands where only spaces may; allowed: spaces for indentation";
const TAG: &str = "this tag cannot be read; allowed: values without tags, and quotes around text that begins with !";
const DIRECTIVE: &str =
    "this is a directive of YAML that is not known; allowed: none, and quotes around text that begins with %";
const ESCAPE: &str = "this text in double quotes has a backslash that begins no character; allowed: \\\\, \\\" and \\n, or \
                      single quotes around the text";
const QUOTES: &str = "text in quotes does not end as it should; allowed: quotes around the whole value, lines that go on in it \
                      further in than its key";
const BLOCK: &str = "the text that | or > begins is not as it should be; allowed: nothing after the sign, and the lines below \
                     further in than the key";
const DASH: &str = "a dash cannot stand here; allowed: lines of `- item` in one column, and quotes around text that begins with a dash";
const COLON: &str = "no value can follow a colon here; allowed: one `key: value` a line, the keys of a table in one column, and \
                     quotes around text that holds a colon and a space";
const KEY: &str = "this is no key with a value; allowed: lines of `key: value`";
const COMMENT: &str =
    "a comment cannot begin here; allowed: a space before #, and quotes around text that holds a space and #";

/// What the scanner stumbled over.
fn scanned(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::UnclosedQuotedScalar => {
            "a quote begins here and does not end; allowed: text between two quotes of the same kind"
        }
        ErrorKind::DocumentIndicatorInQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => QUOTES,
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => ESCAPE,
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::FlowMappingValueAdjacentCollection => BRACKETS,
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => TABS,
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::UnexpectedEofBlockSequence
        | ErrorKind::UnexpectedEofBlockMapping => COLUMN,
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidMappingValueWhitespace
        | ErrorKind::InvalidColonPlacement => COLON,
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey | ErrorKind::MappingKeyNotAllowed => KEY,
        ErrorKind::BlockEntryInFlowCollection
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::InvalidBlockEntryWhitespace
        | ErrorKind::PlainScalarStartsWithDashFlowIndicator => DASH,
        ErrorKind::ZeroBlockScalarIndent
        | ErrorKind::InvalidBlockScalarHeader
        | ErrorKind::InvalidBlockScalarIndent => BLOCK,
        ErrorKind::CommentInterceptedScalar | ErrorKind::CommentNotSeparated => COMMENT,
        ErrorKind::UnexpectedCharacter { .. } => {
            "no value begins with this character; allowed: quotes around text that does, and no control characters"
        }
        ErrorKind::RecursionLimitExceeded => TOO_DEEP,
        ErrorKind::MissingAnchorOrAliasName => {
            "a name is missing after & or *; allowed: &name, *name, and quotes around text that begins with them"
        }
        ErrorKind::DuplicateVersionDirective
        | ErrorKind::UnsupportedYamlMajorVersion
        | ErrorKind::DuplicateTagDirective
        | ErrorKind::ExpectedDocumentStart
        | ErrorKind::MissingDocumentEndBeforeDirective
        | ErrorKind::ExpectedTagDirectiveBang
        | ErrorKind::InvalidDirectiveTerminator
        | ErrorKind::DirectiveDisallowed
        | ErrorKind::MissingYamlVersionSeparator
        | ErrorKind::MissingDirectiveName
        | ErrorKind::InvalidDirectiveName
        | ErrorKind::DirectiveByteLimitExceeded { .. }
        | ErrorKind::TooManyReservedDirectiveParams { .. }
        | ErrorKind::YamlVersionTooLong
        | ErrorKind::MissingYamlVersion
        | ErrorKind::InvalidTagDirectiveTerminator => DIRECTIVE,
        ErrorKind::UndeclaredTagHandle
        | ErrorKind::ExpectedTagBang
        | ErrorKind::InvalidGlobalTagCharacter
        | ErrorKind::InvalidTagTerminator
        | ErrorKind::MissingTagUri
        | ErrorKind::UnclosedVerbatimTag
        | ErrorKind::InvalidTagEscape
        | ErrorKind::InvalidTagUtf8LeadingByte
        | ErrorKind::InvalidTagUtf8TrailingByte
        | ErrorKind::InvalidTagUtf8 => TAG,
        _ => NO_YAML,
    }
}

const TOO_DEEP: &str = "lists and tables lie too deep in each other; allowed: 16 levels";

fn repeated() -> String {
    format!(
        "aliases stand for too much here; allowed: {REPEATED_MAX} keys and values in all, and aliases {ALIAS_DEPTH_MAX} deep"
    )
}

/// More than anybody needs.
fn too_much(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => TOO_DEEP.to_owned(),
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } | BudgetBreach::AliasAnchorRatio { .. } => {
            format!("too many aliases or anchors; allowed: {ALIASES_MAX} of each, and each anchor used a few times")
        }
        BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::RecordedAnchorBytes { .. } => repeated(),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("the document holds too much; allowed: {VALUES_MAX} keys and values")
        }
        _ => "the document holds too much; allowed: a table of settings, lists and tables below it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::yaml::{MAX_BYTES, tree};
    use super::*;

    fn problem(text: &str) -> String {
        tree(text.as_bytes()).map_or_else(|finding| finding.to_string(), |node| format!("read as {node:?}"))
    }

    #[test]
    fn the_levels_that_are_told_are_those_that_are_allowed() {
        assert!(TOO_DEEP.contains(&format!("allowed: {DEPTH_MAX} levels")));
    }

    #[test]
    fn each_mistake_is_told_with_its_place_and_what_is_allowed() {
        let nested = (0..40).map(|depth| " ".repeat(depth) + "a:").collect::<Vec<_>>().join("\n");
        let anchors = (0..120).map(|n| format!("a{n}: &x{n} 1")).collect::<Vec<_>>().join("\n");
        let aliases = (0..120).map(|n| format!("b{n}: *x\n")).fold("a: &x 1\n".to_owned(), |all, line| all + &line);
        let long = format!("a: [{}1]", "1,".repeat(20_000));
        let deep = format!("a: {}", "[".repeat(1_000));
        let bomb = "a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\n";
        for (text, at, begin) in [
            ("mode: cycle\nmode: off\n", "2:1", "\"mode\" stands here twice; allowed: each key once in a table"),
            ("mode: cycle\n---\nmode: off\n", "3:1", "a second document begins here; allowed: one"),
            (bomb, "5:17", "aliases stand for too much here; allowed: 10000 keys and values in all"),
            (&nested, "17:17", TOO_DEEP),
            (&deep, "1:259", TOO_DEEP),
            (&anchors, "101:13", "too many aliases or anchors; allowed: 100 of each"),
            (&aliases, "102:7", "too many aliases or anchors; allowed: 100 of each"),
            (&long, "1:19999", "the document holds too much; allowed: 10000 keys and values"),
            ("a: *x\n", "1:4", "there is no anchor of this name above; allowed: *name after an &name"),
            ("a: &x [*x]\n", "1:8", "this alias stands in what it stands for; allowed: "),
            ("a: & b\n", "1:4", "a name is missing after & or *; allowed: "),
            ("<<: 3\n", "1:5", "<< takes in a table by its alias; allowed: <<: *name"),
            ("a: \"x", "1:4", "a quote begins here and does not end; allowed: "),
            ("a: 'x' y\n", "1:8", QUOTES),
            ("a: \"\\q\"\n", "1:4", ESCAPE),
            ("a: [1,2", "1:4", BRACKETS),
            ("a: }\n", "1:4", BRACKETS),
            ("a: [1}\n", "1:4", BRACKETS),
            ("budgets:\n\ta: 1\n", "2:2", TABS),
            ("mode: off\n  b: c\n", "2:4", COLON),
            ("a: b: c\n", "1:5", COLON),
            ("budgets:\n  a: 1\n c: 1\n", "3:2", COLUMN),
            ("a: 1\n- b\n", "2:3", COLUMN),
            ("a: 1\nb\n", "2:1", KEY),
            ("a: - b\n", "1:4", DASH),
            ("a: |x\n  b\n", "1:4", BLOCK),
            ("a: b #c\n  d\n", "1:6", COMMENT),
            ("a: [b]#c\n", "1:7", COMMENT),
            ("a: @x\n", "1:4", "no value begins with this character; allowed: quotes"),
            ("a: %x\n", "1:4", "no value begins with this character; allowed: quotes"),
            ("%YAML 3.0\n---\na: 1\n", "1:1", DIRECTIVE),
            ("a: !x!y z\n", "1:4", TAG),
            ("a: !!int x\n", "1:10", "the tag before this value does not fit it; allowed: values without tags"),
            ("a: !!bool 3\n", "1:11", "the tag before this value does not fit it; allowed: values without tags"),
            ("a: !!binary \"!\"\n", "1:13", "the tag before this value does not fit it; allowed: values without tags"),
            ("? [a, b]\n: c\n", "1:3", "this key is no text; allowed: the names of settings"),
            ("~: 1\n", "1:1", "this key is no text; allowed: the names of settings"),
            ("a: .nan\n", "1:4", "this is no number to count with; allowed: whole numbers"),
        ] {
            let told = problem(text);
            let shown: String = text.chars().take(60).collect();
            assert!(told.starts_with(&format!("{at}: {begin}")), "{shown:?}: {told}");
        }
    }

    #[test]
    fn what_is_no_text_or_too_much_of_it_says_what_is_allowed() {
        let told = |bytes: &[u8]| tree(bytes).unwrap_err().to_string();
        assert_eq!(told(b"mode: off\n x\xff: 1"), "2:3: this is no text; allowed: UTF-8");
        assert_eq!(told(&vec![b'x'; MAX_BYTES + 1]), "1:1: the document is too large; allowed: 65536 bytes");
    }

    proptest! {
        #[test]
        fn whatever_is_no_yaml_is_told_in_our_own_words(text in "[-a-c:&*!<>?|%@'\"{}\\[\\], \\\\\n#0-2~\t.]{0,120}") {
            if let Err(finding) = tree(text.as_bytes()) {
                prop_assert!(finding.problem.contains("; allowed: ") && !finding.problem.contains(" at line "), "{finding}");
            }
        }
    }
}
