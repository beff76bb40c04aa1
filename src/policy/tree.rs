//! A document as it was written: every key and value with its line and column.

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub at: Spot,
    /// What it is.
    pub yaml: Yaml,
}

/// A place in a document, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
    /// Something that no setting takes, in words.
    Other(&'static str),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order in which it was written.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it stands.
    pub at: Spot,
    /// Its text.
    pub text: String,
}

/// Something that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {problem}", .at.line, .at.column)]
pub struct Finding {
    /// Where.
    pub at: Spot,
    /// What, and what is allowed.
    pub problem: String,
}

impl Spot {
    /// Where a document begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl Yaml {
    /// What it is, to stand after "this is ".
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::Null => "empty".to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("\"{}\"", crate::event::Excerpt::of(text)),
            Self::Other(what) => (*what).to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a table".to_owned(),
        }
    }
}
