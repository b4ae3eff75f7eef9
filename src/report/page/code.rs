//! Programs and source files of a page: instructions as the kernel's log prints them, and the lines that they came from.
//!
//! The compiler keeps the text of each line that has instructions. Where the file itself is found and has just these lines, the
//! rest of it is shown too.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::graph;
use super::model::{self, File, Function, Instruction, Line, Text};
use super::texts::Numbered;
use crate::isa::disassemble;
use crate::object::{Object, Program};
use crate::report::place::Names;
use crate::report::source::Sources;

/// Bytes of a source file that is shown whole, at most.
const MAX_FILE: u64 = 256 << 10;

/// Endings of source files that are shown whole.
const SOURCES: [&str; 5] = ["c", "h", "S", "s", "rs"];

/// What all views of a page share.
#[derive(Debug, Default)]
pub struct Shared {
    sources: Sources,
    texts: Numbered<String>,
    files: Vec<(Arc<str>, BTreeMap<u32, String>)>,
    file_numbers: FxHashMap<Arc<str>, u32>,
    programs: Vec<model::Program>,
    program_numbers: FxHashMap<String, u32>,
}

impl Shared {
    /// Nothing yet; source files are looked for there.
    #[must_use]
    pub fn new(sources: Sources) -> Shared {
        Shared { sources, ..Shared::default() }
    }

    /// The number of a text.
    pub fn text(&mut self, text: impl Into<String>) -> Text {
        self.texts.number(text.into())
    }

    /// The number of a program; its code is added where it is not there yet.
    pub fn program(&mut self, object: &Object, program: &Program) -> u32 {
        if let Some(&number) = self.program_numbers.get(&program.name) {
            return number;
        }
        let instructions = self.instructions(object, program);
        let graphs = graph::of_functions(object, program, &instructions).into_iter().chain(std::iter::repeat(None));
        let ends = program.functions.iter().skip(1).map(|function| function.start).chain([program.insns.len()]);
        let functions = program.functions.iter().zip(ends).zip(graphs).map(|((function, end), graph)| Function {
            name: function.name.clone(),
            start: function.start,
            end,
            graph,
        });
        let functions = functions.collect();
        let number = self.programs.len() as u32;
        let (name, section) = (program.name.clone(), program.section.name.clone());
        self.programs.push(model::Program { name: name.clone(), section, functions, instructions });
        self.program_numbers.insert(name, number);
        number
    }

    fn instructions(&mut self, object: &Object, program: &Program) -> Vec<Instruction> {
        let mut instructions = Vec::with_capacity(program.insns.len());
        let mut slot = 0;
        while let Some(&raw) = program.insns.get(slot) {
            let line = program.line_at(slot).filter(|line| line.line > 0).map(|line| {
                let file = self.file(&line.file);
                if let Some((_, lines)) = self.files.get_mut(file as usize) {
                    lines.entry(line.line).or_insert_with(|| line.text.trim_end().to_owned());
                }
                (file, line.line)
            });
            let text = disassemble(raw, program.insns.get(slot + 1).copied(), &Names(object));
            instructions.push(Instruction { slot, text, line });
            slot += 1 + usize::from(raw.is_wide());
        }
        instructions
    }

    fn file(&mut self, name: &Arc<str>) -> u32 {
        *self.file_numbers.entry(Arc::clone(name)).or_insert_with(|| {
            self.files.push((Arc::clone(name), BTreeMap::new()));
            self.files.len() as u32 - 1
        })
    }

    fn line_text(&self, (file, line): (u32, u32)) -> Option<&str> {
        self.files.get(file as usize)?.1.get(&line).map(String::as_str)
    }

    /// Source line of a slot, as `file.c:12: text`; the slot's number where it is not known.
    #[must_use]
    pub fn place(&self, program: u32, slot: usize) -> String {
        let code = self.programs.get(program as usize);
        let instructions = code.map_or(&[][..], |program| &program.instructions);
        let found = instructions.binary_search_by_key(&slot, |one| one.slot).ok().and_then(|at| instructions.get(at));
        let line = found.and_then(|instruction| instruction.line);
        match line.and_then(|at| Some((self.files.get(at.0 as usize)?, at.1, self.line_text(at)?))) {
            Some(((file, _), line, text)) => {
                let file = file.rsplit('/').next().unwrap_or(file);
                let separator = if text.trim().is_empty() { "" } else { ": " };
                format!("{file}:{line}{separator}{}", text.trim())
            }
            None => format!("instruction {slot}"),
        }
    }

    /// Files, programs and texts.
    #[must_use]
    pub fn finish(self) -> (Vec<File>, Vec<model::Program>, Vec<String>) {
        let files = self.files.into_iter().map(|(name, known)| {
            let whole = whole_file(&self.sources, &name, &known);
            let lines = |lines: &mut dyn Iterator<Item = (u32, String)>| {
                lines.map(|(number, text)| Line { number, text }).collect()
            };
            File {
                name: name.to_string(),
                whole: whole.is_some(),
                lines: match whole {
                    Some(all) => lines(&mut (1..).zip(all)),
                    None => lines(&mut known.into_iter()),
                },
            }
        });
        (files.collect(), self.programs, self.texts.into_all())
    }
}

/// All lines of a source file, if it is found. An object can name any file: what does not look like a source is not shown whole.
fn whole_file(sources: &Sources, name: &str, known: &BTreeMap<u32, String>) -> Option<Vec<String>> {
    let is_source = |extension: &OsStr| SOURCES.iter().any(|known| extension == *known);
    if !Path::new(name).extension().is_some_and(is_source) {
        return None;
    }
    let known = known.iter().map(|(&number, text)| (number, text.as_str()));
    let text = sources.file(name, known, MAX_FILE)?;
    Some(text.lines().map(str::to_owned).collect())
}
