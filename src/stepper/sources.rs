//! Source text: the lines that the object's types carry, and whole files where they are found and say the same.

use std::collections::BTreeMap;

use crate::object::Object;
use crate::report::source;

/// Lines past which an object's numbers are not believed.
const MAX_LINE: u32 = 1 << 20;

/// A file's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Text by line number, from 1. Lines that are not known are not there.
    pub lines: BTreeMap<u32, String>,
    /// Was the whole file found?
    pub whole: bool,
}

/// Files by the name that the compiler knew them by.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: BTreeMap<String, SourceFile>,
}

/// A line as a terminal shows it.
fn shown(text: &str) -> String {
    let text = text.trim_end().replace('\t', "    ");
    text.chars().filter(|c| !c.is_control()).collect()
}

impl Sources {
    /// The lines that an object carries, and the whole files that are found.
    #[must_use]
    pub fn of(object: &Object, found: &source::Sources) -> Sources {
        let mut kept: BTreeMap<&str, BTreeMap<u32, &str>> = BTreeMap::new();
        for line in object.programs.iter().flat_map(|program| &program.lines).filter(|line| line.line <= MAX_LINE) {
            kept.entry(&line.file).or_default().entry(line.line).or_insert(&line.text);
        }
        let file = |(name, kept): (&str, BTreeMap<u32, &str>)| {
            let whole = found.file(name, kept.iter().map(|(&number, &text)| (number, text)), source::MAX_FILE);
            let lines = match &whole {
                Some(text) => (1..).zip(text.lines().map(shown)).collect(),
                None => kept.into_iter().map(|(number, text)| (number, shown(text))).collect(),
            };
            (name.to_owned(), SourceFile { lines, whole: whole.is_some() })
        };
        Sources { files: kept.into_iter().map(file).collect() }
    }

    /// A file by the compiler's name for it.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&SourceFile> {
        self.files.get(name)
    }
}
