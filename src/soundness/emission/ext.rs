//! `.BTF.ext`: which function each place is in, and the statement that it came from as its source line.

use crate::btf::StringTable;

use super::{Batch, bytes_of, function_name};
use crate::soundness::program::Function;

const HEADER: u32 = 32;
/// The file that lines are said to be of.
pub(super) const FILE: &str = "generated.s";

/// Functions of one section, with the place of each.
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) functions: Vec<(u64, String, &'a Function)>,
}

impl Batch<'_> {
    /// The section's bytes; its strings go to `strings`.
    pub(super) fn ext(&self, strings: &mut StringTable) -> Vec<u8> {
        let sections = self.sections();
        let (mut functions, mut lines) = (vec![8], vec![16]);
        let file = strings.offset(FILE);
        let mut number = 0;
        for section in &sections {
            let name = strings.offset(section.name);
            functions.extend([name, section.functions.len() as u32]);
            lines.extend([name, 0]);
            let count = lines.len() - 1;
            for (start, function_name, function) in &section.functions {
                functions.extend([*start as u32, self.types.function(function_name).0]);
                let mut at = *start;
                let mut last = None;
                for line in &function.lines {
                    if last != Some(line.statement) {
                        last = Some(line.statement);
                        number += 1;
                        let text = function.statements.get(line.statement).map_or("", String::as_str);
                        lines.extend([at as u32, file, strings.offset(text), (number % (1 << 22)) << 10 | 1]);
                        lines[count] += 1;
                    }
                    at += 8 * line.slots() as u64;
                }
            }
        }
        let (functions, lines) = (to_bytes(&functions), to_bytes(&lines));
        let (functions_end, lines_end) = (functions.len() as u32, (functions.len() + lines.len()) as u32);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let header = [HEADER, 0, functions_end, functions_end, lines.len() as u32, lines_end, 0];
        bytes.extend(to_bytes(&header));
        bytes.extend(functions);
        bytes.extend(lines);
        bytes
    }

    /// The sections with programs, and `.text`.
    pub(super) fn sections(&self) -> Vec<Section<'_>> {
        let mut sections: Vec<Section<'_>> = Vec::new();
        let mut ends: Vec<u64> = Vec::new();
        let entries = self
            .programs
            .iter()
            .filter_map(|(name, code)| Some((code.kind.section(), function_name(name, 0), code.functions.first()?)));
        let callbacks = self.text().map(|(program, index, function)| {
            let name = self.programs.get(program).map_or("", |(name, _)| name.as_str());
            (".text", function_name(name, index), function)
        });
        for (section, name, function) in entries.chain(callbacks) {
            let index = sections.iter().position(|known| known.name == section).unwrap_or_else(|| {
                sections.push(Section { name: section, functions: Vec::new() });
                ends.push(0);
                sections.len() - 1
            });
            sections[index].functions.push((ends[index], name, function));
            ends[index] += bytes_of(function);
        }
        sections
    }
}

fn to_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
