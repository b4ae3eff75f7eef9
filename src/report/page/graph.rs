//! A function's control-flow graph: its basic blocks, the ways between them, and where each is drawn.

use std::collections::BTreeSet;
use std::ops::Range;

use super::layout::{self, Size};
use super::model::{Block, Edge, EdgeKind, Graph, Instruction};
use crate::isa::{Insn, decode_flow};
use crate::object::Program;

/// Blocks of a graph that is drawn, at most: of more, nobody sees anything.
const MAX_BLOCKS: usize = 400;
/// Lines of a block's label, at most.
const MAX_LINES: usize = 5;
/// Characters of a line of a label, at most.
const MAX_LABEL: usize = 34;
/// Width of a block in pixels: a label's characters at the page's small size.
const BLOCK_WIDTH: i32 = 264;
/// Height of a label's line in pixels.
const LINE_HEIGHT: i32 = 16;

/// Where control goes behind an instruction.
enum Flow {
    On,
    Ends,
    Jumps(i64),
    Branches(i64),
}

fn flow(program: &Program, slot: usize) -> Flow {
    let raw = program.insns.get(slot).copied().unwrap_or_default();
    let target = |offset: i64| slot as i64 + 1 + offset;
    match decode_flow(raw, program.insns.get(slot + 1).copied()) {
        Ok(Insn::Exit) => Flow::Ends,
        Ok(Insn::Jump { offset }) => Flow::Jumps(target(offset.into())),
        Ok(Insn::JumpIf { offset, .. } | Insn::MayGoto { offset }) => Flow::Branches(target(offset.into())),
        _ => Flow::On,
    }
}

/// The graph of the function in those slots; `None` if it has too many blocks. `line` is a source line's text.
pub fn of_function<'t>(
    program: &Program,
    slots: Range<usize>,
    instructions: &[Instruction],
    line: impl Fn((u32, u32)) -> Option<&'t str>,
) -> Option<Graph> {
    let first = instructions.partition_point(|one| one.slot < slots.start);
    let end = instructions.partition_point(|one| one.slot < slots.end);
    let own = instructions.get(first..end)?;
    let blocks = blocks(program, &slots, own);
    if blocks.is_empty() || blocks.len() > MAX_BLOCKS {
        return None;
    }
    let edges = edges(program, &blocks);
    let labels: Vec<Vec<String>> = blocks.iter().map(|block| label(own, block, &line)).collect();
    let size = |lines: &Vec<String>| Size { width: BLOCK_WIDTH, height: LINE_HEIGHT * (lines.len() as i32 + 1) + 12 };
    let sizes: Vec<Size> = labels.iter().map(size).collect();
    let pairs: Vec<(usize, usize)> = edges.iter().map(|&(from, to, _)| (from, to)).collect();
    let drawn = layout::layered(&sizes, &pairs);
    let blocks = blocks.iter().zip(labels).zip(sizes.iter().zip(drawn.corners)).map(
        |((&(first, last), label), (size, (x, y)))| Block {
            first,
            last,
            label,
            x,
            y,
            width: size.width,
            height: size.height,
        },
    );
    let edges = edges.iter().zip(drawn.routes).map(|(&(from, to, kind), points)| Edge { from, to, kind, points });
    Some(Graph { width: drawn.width, height: drawn.height, blocks: blocks.collect(), edges: edges.collect() })
}

/// First and last slot of each basic block.
fn blocks(program: &Program, slots: &Range<usize>, own: &[Instruction]) -> Vec<(usize, usize)> {
    let mut leaders = BTreeSet::from([slots.start]);
    for instruction in own {
        let next = instruction.slot + 1;
        match flow(program, instruction.slot) {
            Flow::On => continue,
            Flow::Ends => {}
            Flow::Jumps(target) | Flow::Branches(target) => leaders.extend(usize::try_from(target).ok()),
        }
        leaders.insert(next);
    }
    let mut blocks: Vec<(usize, usize)> = Vec::new();
    for instruction in own {
        match blocks.last_mut() {
            Some(block) if !leaders.contains(&instruction.slot) => block.1 = instruction.slot,
            _ => blocks.push((instruction.slot, instruction.slot)),
        }
    }
    blocks
}

/// Ways out of blocks: indices of blocks. What leads out of the function has none.
fn edges(program: &Program, blocks: &[(usize, usize)]) -> Vec<(usize, usize, EdgeKind)> {
    let block_at = |slot: i64| {
        let slot = usize::try_from(slot).ok()?;
        blocks.binary_search_by_key(&slot, |&(first, _)| first).ok()
    };
    let mut edges = Vec::new();
    for (from, &(_, last)) in blocks.iter().enumerate() {
        let next = (from + 1 < blocks.len()).then_some(from + 1);
        let (ahead, jump) = match flow(program, last) {
            Flow::On => (next.map(|to| (to, EdgeKind::Next)), None),
            Flow::Ends => (None, None),
            Flow::Jumps(target) => (None, block_at(target).map(|to| (to, EdgeKind::Next))),
            Flow::Branches(target) => {
                (next.map(|to| (to, EdgeKind::NotTaken)), block_at(target).map(|to| (to, EdgeKind::Taken)))
            }
        };
        edges.extend(ahead.into_iter().chain(jump).map(|(to, kind)| (from, to, kind)));
    }
    edges
}

/// A block's source lines in the order in which they come; instructions where the source is not known.
fn label<'t>(
    own: &[Instruction],
    &(first, last): &(usize, usize),
    line: &impl Fn((u32, u32)) -> Option<&'t str>,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for instruction in own.iter().filter(|one| (first..=last).contains(&one.slot)) {
        let source =
            instruction.line.and_then(|at| Some((at.1, line(at)?.trim()))).filter(|(_, text)| !text.is_empty());
        let text = source.map(|(number, text)| format!("{number} {text}"));
        let text = shortened(&text.unwrap_or_else(|| instruction.text.clone()));
        if !lines.contains(&text) {
            lines.push(text);
        }
    }
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES - 1);
        lines.push("…".to_owned());
    }
    lines
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_LABEL {
        return text.to_owned();
    }
    text.chars().take(MAX_LABEL - 1).chain(['…']).collect()
}
