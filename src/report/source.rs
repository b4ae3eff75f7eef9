//! Source lines with something to say of them: the file's own text where it can be read and is the one that was
//! compiled, else the lines that the compiler kept in the object.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Snippet};

use crate::object::LineInfo;
use crate::verifier::story::words;

/// Bytes of a source file that are read at most; larger ones are shown by the lines in the object.
pub const MAX_FILE: u64 = 8 << 20;

/// A place in the source, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct Spot<'a> {
    /// The line, as the compiler kept it.
    pub line: &'a LineInfo,
    /// What is said of it; may be empty.
    pub label: String,
    /// Is it the place that the message is about?
    pub primary: bool,
}

/// Where source files are looked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    folders: Vec<PathBuf>,
}

impl Sources {
    /// Looks beside an object, besides the paths that the compiler kept.
    #[must_use]
    pub fn beside(object: &Path) -> Sources {
        Sources { folders: object.parent().map(Path::to_owned).into_iter().collect() }
    }

    /// Looks beside another file, too.
    #[must_use]
    pub fn and_beside(self, object: &Path) -> Sources {
        let folder = object.parent().map(Path::to_owned);
        self.and_in(folder.as_slice())
    }

    /// Looks in these folders, too.
    #[must_use]
    pub fn and_in(mut self, folders: &[PathBuf]) -> Sources {
        self.folders.extend_from_slice(folders);
        self
    }

    /// Looks nowhere: the lines in the object are all there is.
    #[must_use]
    pub fn none() -> Sources {
        Sources::default()
    }

    /// Adds the places to a message, file by file, the one that the message is about first.
    #[must_use]
    pub fn show<'a>(&self, mut group: Group<'a>, spots: &[Spot<'_>]) -> Group<'a> {
        let mut files: Vec<&str> = Vec::new();
        let primary_first = spots.iter().filter(|spot| spot.primary).chain(spots.iter().filter(|spot| !spot.primary));
        for spot in primary_first {
            if !files.contains(&&*spot.line.file) {
                files.push(&spot.line.file);
            }
        }
        let mut untold = Vec::new();
        for file in files {
            let here: Vec<&Spot<'_>> = spots.iter().filter(|spot| *spot.line.file == *file).collect();
            match self.snippet(file, &here) {
                Some(snippet) => group = group.element(snippet),
                None => untold.extend(here),
            }
        }
        for spot in untold {
            let place = format!("{}:{}", short(&spot.line.file), spot.line.line);
            let label = if spot.label.is_empty() { "here" } else { &spot.label };
            group = group.element(Level::NOTE.message(format!("{place}: {label}")));
        }
        group
    }

    /// The lines of one file; `None` if none of them is known.
    fn snippet<'a>(&self, file: &str, spots: &[&Spot<'_>]) -> Option<Snippet<'a, Annotation<'a>>> {
        let (text, first) = self.text(file, spots);
        if text.trim().is_empty() {
            return None;
        }
        let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut snippet = Snippet::source(text.clone()).line_start(first).path(short(file));
        for spot in spots {
            let Some(&start) = (spot.line.line as usize).checked_sub(first).and_then(|line| starts.get(line)) else {
                continue;
            };
            let line = text[start..].lines().next().unwrap_or_default();
            let Range { start: from, end: to } = span(line, spot.line.column);
            let kind = if spot.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(start + from..start + to);
            snippet = snippet.annotation(match spot.label.is_empty() {
                true => annotation,
                false => annotation.label(spot.label.clone()),
            });
        }
        Some(snippet)
    }

    /// A text that has all the lines at their places, and the number of its first line.
    fn text(&self, file: &str, spots: &[&Spot<'_>]) -> (String, usize) {
        let kept = spots.iter().map(|spot| (spot.line.line, &*spot.line.text));
        if let Some(text) = self.file(file, kept, MAX_FILE) {
            return (text, 1);
        }
        let numbers = spots.iter().map(|spot| spot.line.line as usize);
        let (first, last) = (numbers.clone().min().unwrap_or(1), numbers.max().unwrap_or(1));
        let mut text = String::new();
        let mut at = first;
        let mut lines: Vec<&LineInfo> = spots.iter().map(|spot| spot.line).collect();
        lines.sort_by_key(|line| line.line);
        lines.dedup_by_key(|line| line.line);
        // Line numbers are the object's, which may be broken.
        const MAX_GAP: usize = 1 << 16;
        if last - first > MAX_GAP {
            lines.truncate(1);
        }
        for line in lines {
            text.extend((at..line.line as usize).map(|_| '\n'));
            text.push_str(line.text.trim_end());
            at = line.line as usize;
        }
        (text, first)
    }

    /// Texts that may be a file's, of at most so many bytes: under its own name, and in the folders; nothing if there are no folders.
    fn texts(&self, file: &str, most: u64) -> impl Iterator<Item = String> {
        let path = Path::new(file);
        // The longest end of the path that is there: objects are moved, and so are trees.
        let names: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let ends: Vec<PathBuf> = (0..names.len()).map(|start| names[start..].iter().collect()).collect();
        let own = (!self.folders.is_empty()).then(|| path.to_owned());
        let beside =
            self.folders.iter().flat_map(move |folder| ends.iter().map(|end| folder.join(end)).collect::<Vec<_>>());
        own.into_iter().chain(beside).filter_map(move |path| read(&path, most))
    }

    /// The text of a source file, of at most so many bytes: the first that is found under its name and has the lines that the
    /// compiler kept (number, from 1, and text).
    pub fn file<'k>(
        &self,
        file: &str,
        kept: impl Iterator<Item = (u32, &'k str)> + Clone,
        most: u64,
    ) -> Option<String> {
        self.texts(file, most).find(|text| has_lines(text, kept.clone()))
    }
}

/// Is it the text that was compiled: does it have all lines that the compiler kept, and did it keep one to tell it by? Spaces around
/// a line do not count.
fn has_lines<'k>(text: &str, kept: impl Iterator<Item = (u32, &'k str)>) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = kept.map(|(number, text)| (number, text.trim())).filter(|(_, text)| !text.is_empty()).peekable();
    let is_there = |(number, text): (u32, &str)| {
        (number as usize).checked_sub(1).and_then(|index| lines.get(index)).is_some_and(|line| line.trim() == text)
    };
    kept.peek().is_some() && kept.all(is_there)
}

/// A path as people would type it: from the current folder, if it is in there.
fn short(file: &str) -> String {
    let folder = std::env::current_dir().ok();
    let inside = folder.as_deref().and_then(|folder| Path::new(file).strip_prefix(folder).ok());
    let short = inside.map_or_else(|| file.to_owned(), |inside| inside.display().to_string());
    short.strip_prefix("./").map_or(short.clone(), str::to_owned)
}

/// The text of a file of at most so many bytes. An object can name any path: what is no file is not even opened, for a pipe would
/// make us wait.
fn read(path: &Path, most: u64) -> Option<String> {
    fs::metadata(path).ok().filter(|data| data.is_file() && data.len() <= most)?;
    let mut text = String::new();
    File::open(path).ok()?.take(most).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The part of a line that a column (from 1; 0 if unknown) stands for: a name, a call with its arguments, a condition;
/// else the whole line without what surrounds it.
fn span(line: &str, column: u32) -> Range<usize> {
    let begin = line.len() - line.trim_start().len();
    let whole = begin..line.trim_end().len().max(begin);
    let start = (column as usize).wrapping_sub(1);
    let Some(rest) = line.get(start..).filter(|rest| !rest.trim().is_empty()) else { return whole };
    let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let behind = &rest[name..];
    let length = match &rest[..name] {
        "return" | "goto" => rest.find(';').unwrap_or(rest.trim_end().len()),
        "" if !rest.starts_with('(') => return whole,
        _ => match behind.trim_start().strip_prefix('(') {
            Some(arguments) => match words::closing(arguments) {
                Some(end) => rest.len() - arguments.len() + end + 1,
                None => return whole,
            },
            None => name,
        },
    };
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_long_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.c");
        fs::write(&file, "int a;\n").expect("it can be written");
        assert_eq!(read(&file, 7).as_deref(), Some("int a;\n"));
        assert_eq!(read(&file, 6), None);
        assert_eq!(read(folder.path(), MAX_FILE), None);
        assert_eq!(read(Path::new("/dev/null"), MAX_FILE), None);
    }

    #[test]
    fn a_file_is_taken_only_if_it_has_the_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("bpf")).expect("it can be made");
        fs::write(folder.path().join("bpf/a.c"), "a\n\tb = 1;\nc\n").expect("it can be written");
        let sources = Sources::none().and_in(&[folder.path().to_owned()]);
        let found = |kept: &[(u32, &str)]| sources.file("/build/bpf/a.c", kept.iter().copied(), MAX_FILE).is_some();
        assert!(found(&[(2, "b = 1;")]) && found(&[(2, "\tb = 1;  "), (1, "a"), (9, "")]));
        assert!(!found(&[(2, "b = 2;")]) && !found(&[(1, "a"), (4, "c")]) && !found(&[(0, "a")]));
        assert!(!found(&[]) && !found(&[(1, "")]), "nothing to tell it by");
        assert!(Sources::none().file("/build/bpf/a.c", [(1, "a")].into_iter(), MAX_FILE).is_none());
    }

    #[test]
    fn what_a_column_stands_for() {
        for (line, column, part) in [
            ("\tp = bpf_obj_new(typeof(*p));", 6, "bpf_obj_new(typeof(*p))"),
            ("\tif (!slot)", 6, "!slot"),
            ("\tif (!slot)", 2, "if (!slot)"),
            ("\treturn slot->pc;", 2, "return slot->pc"),
            ("\tv->pc = p;", 5, "pc"),
            ("}", 1, "}"),
            ("\tx = 1;", 0, "x = 1;"),
            ("\tx = 1;", 90, "x = 1;"),
            ("\tf(a,", 2, "f(a,"),
        ] {
            let expected = if part == "!slot" { "if (!slot)" } else { part };
            assert_eq!(&line[span(line, column)], expected, "{line} {column}");
        }
    }

    #[test]
    fn lines_of_the_object_stand_where_they_belong() {
        let line =
            |number, text: &str| LineInfo { insn: 0, file: "a.c".into(), text: text.into(), line: number, column: 0 };
        let (first, second) = (line(7, "\tfirst();"), line(9, "second();"));
        let spot = |line| Spot { line, label: String::new(), primary: false };
        let (spots, far) = ([spot(&second), spot(&first)], line(u32::MAX, "far();"));
        assert_eq!(Sources::none().text("a.c", &spots.each_ref()), ("\tfirst();\n\nsecond();".to_owned(), 7));
        let broken = [spot(&first), spot(&far)];
        assert_eq!(Sources::none().text("a.c", &broken.each_ref()), ("\tfirst();".to_owned(), 7));
    }
}
