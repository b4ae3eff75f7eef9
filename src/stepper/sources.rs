//! Source text: the lines that the object's types carry, and whole files where they are found and say the same.

use std::collections::BTreeMap;
use std::path::Path;

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
    /// The lines that an object carries.
    #[must_use]
    pub fn of(object: &Object) -> Sources {
        let mut sources = Sources::default();
        for line in object.programs.iter().flat_map(|program| &program.lines).filter(|line| line.line <= MAX_LINE) {
            let file = sources.files.entry(line.file.to_string()).or_default();
            file.lines.entry(line.line).or_insert_with(|| shown(&line.text));
        }
        sources
    }

    /// Looks for the files, under their own names and beside `object`, and takes those whose lines are the object's.
    #[must_use]
    pub fn with_files(mut self, object: &Path) -> Sources {
        let found = source::Sources::beside(object);
        for (name, file) in &mut self.files {
            if let Some(whole) = found.texts(name).find_map(|text| file.completed(&text)) {
                *file = whole;
            }
        }
        self
    }

    /// A file by the compiler's name for it.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&SourceFile> {
        self.files.get(name)
    }
}

impl SourceFile {
    /// The whole file, if it has the lines that are known.
    fn completed(&self, text: &str) -> Option<SourceFile> {
        let lines: BTreeMap<u32, String> = (1..).zip(text.lines().map(shown)).collect();
        let same = |(number, known): (&u32, &String)| lines.get(number).is_some_and(|line| line.trim() == known.trim());
        self.lines.iter().all(same).then_some(SourceFile { lines, whole: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_only_if_it_says_the_same() {
        let known = SourceFile { lines: [(2, "b = 1;".to_owned())].into(), whole: false };
        let whole = known.completed("a\n\tb = 1;\nc").expect("line 2 is the same");
        assert_eq!((whole.lines[&2].as_str(), whole.lines.len(), whole.whole), ("    b = 1;", 3, true));
        assert_eq!(known.completed("a\nb = 2;"), None);
        assert_eq!(known.completed(""), None);
    }
}
