//! The control-flow graph of a program: its basic blocks, with the source lines they came of, and where control goes.
//!
//! [`Graph::of`] makes it of a loaded program; [`dot`] and [`mermaid`] draw it. Nothing here asks whether a path is
//! possible: the edges are those that the instructions have. What was followed is in [`states`].

pub mod dot;
pub mod mermaid;
pub mod states;

use std::collections::BTreeSet;

use super::place::{self, Names};
use crate::isa::{CallTarget, ImmediateSource, Insn, decode_flow, disassemble};
use crate::object::{Object, Program};
use crate::verifier::{Verdict, Verification};

/// Why control goes along an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// To the next block, or by an unconditional jump.
    Always,
    /// A condition holds; its text.
    If(String),
    /// The condition does not hold.
    Else,
    /// A function of the program is called, or its address taken for a callback.
    Calls,
}

/// An edge between blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// From this block.
    pub from: usize,
    /// To that one.
    pub to: usize,
    /// Why.
    pub kind: EdgeKind,
    /// Does it lead back, as the end of a loop does?
    pub back: bool,
}

/// Instructions that are executed one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// First slot.
    pub start: usize,
    /// Slot after the last.
    pub end: usize,
    /// Its function: index into [`Graph::functions`].
    pub function: usize,
    /// Does a function start here?
    pub is_entry: bool,
    /// What stands in it: source lines, or instructions.
    pub lines: Vec<String>,
}

/// Where and why the verifier refuses the program, or cannot judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The block.
    pub block: usize,
    /// Why, in one line.
    pub reason: String,
    /// Is it a rejection?
    pub rejected: bool,
}

/// A program's control-flow graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The program.
    pub name: String,
    /// Its functions' names, the entry first.
    pub functions: Vec<String>,
    /// Its blocks, by their first slot.
    pub blocks: Vec<Block>,
    /// Its edges, by their blocks.
    pub edges: Vec<Edge>,
    /// What the verifier says, if it does not accept.
    pub mark: Option<Mark>,
}

/// What stands in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Source lines; instructions where none are known.
    Source,
    /// Instructions.
    Instructions,
}

impl Graph {
    /// The graph of a program, marked with what the verifier said of it.
    #[must_use]
    pub fn of(object: &Object, program: &Program, verification: &Verification, detail: Detail) -> Graph {
        let mut graph = Graph::of_code(object, program, detail);
        graph.mark = mark(&graph.blocks, verification);
        graph
    }

    /// The graph of a program, without a mark.
    #[must_use]
    pub fn of_code(object: &Object, program: &Program, detail: Detail) -> Graph {
        let flows: Vec<Option<Insn>> = (0..program.insns.len()).map(|slot| flow(program, slot)).collect();
        let starts: Vec<usize> = leaders(program, &flows).into_iter().collect();
        let ends = starts.iter().skip(1).copied().chain([program.insns.len()]);
        let function =
            |slot: usize| program.functions.partition_point(|function| function.start <= slot).saturating_sub(1);
        let blocks: Vec<Block> = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| Block {
                start,
                end,
                function: function(start),
                is_entry: start == 0 || program.functions.iter().any(|one| one.start == start),
                lines: lines(object, program, start..end, detail),
            })
            .collect();
        let mut graph = Graph {
            name: program.name.clone(),
            functions: program.functions.iter().map(|function| function.name.clone()).collect(),
            edges: Vec::new(),
            mark: None,
            blocks,
        };
        if graph.functions.is_empty() {
            graph.functions.push(program.name.clone());
        }
        graph.edges = graph.edges_of(object, program, &flows);
        graph
    }

    fn block_at(&self, slot: i64) -> Option<usize> {
        let slot = usize::try_from(slot).ok()?;
        let at = self.blocks.partition_point(|block| block.start <= slot).checked_sub(1)?;
        (slot < self.blocks[at].end).then_some(at)
    }

    fn edges_of(&self, object: &Object, program: &Program, flows: &[Option<Insn>]) -> Vec<Edge> {
        let mut edges: Vec<Edge> = Vec::new();
        let mut add = |from: usize, to: Option<usize>, kind: EdgeKind| {
            let Some(to) = to else { return };
            let back = kind != EdgeKind::Calls && self.blocks[to].start <= self.blocks[from].start;
            let edge = Edge { from, to, kind, back };
            // Those of a block follow one another.
            if !edges.iter().rev().take_while(|known| known.from == from).any(|known| *known == edge) {
                edges.push(edge);
            }
        };
        for (from, block) in self.blocks.iter().enumerate() {
            for (slot, flow) in (block.start..block.end).zip(&flows[block.start..block.end]) {
                if let Some(offset) = flow.and_then(called) {
                    add(from, self.block_at(slot as i64 + 1 + offset), EdgeKind::Calls);
                }
            }
            let Some(last) = (block.start..block.end).rev().find(|&slot| flows[slot].is_some()) else { continue };
            let after = || self.block_at(block.end as i64);
            match flows[last] {
                Some(Insn::Exit) | None => {}
                Some(Insn::Jump { offset }) => {
                    add(from, self.block_at(last as i64 + 1 + i64::from(offset)), EdgeKind::Always);
                }
                Some(Insn::JumpIf { offset, .. } | Insn::MayGoto { offset }) => {
                    let condition = EdgeKind::If(condition(object, program, last));
                    add(from, self.block_at(last as i64 + 1 + i64::from(offset)), condition);
                    add(from, after(), EdgeKind::Else);
                }
                Some(_) => add(from, after(), EdgeKind::Always),
            }
        }
        edges
    }
}

/// The instruction of a slot; `None` for the second slot of a wide load, and for what is none.
fn flow(program: &Program, slot: usize) -> Option<Insn> {
    if slot > 0 && program.insns[slot].opcode == 0 {
        return None;
    }
    decode_flow(program.insns[slot], program.insns.get(slot + 1).copied()).ok()
}

fn called(insn: Insn) -> Option<i64> {
    match insn {
        Insn::Call(CallTarget::Subprogram(offset))
        | Insn::LoadImmediate { source: ImmediateSource::Function(offset), .. } => Some(i64::from(offset)),
        _ => None,
    }
}

/// The slots at which blocks start.
fn leaders(program: &Program, flows: &[Option<Insn>]) -> BTreeSet<usize> {
    let slots = program.insns.len();
    let mut starts: BTreeSet<usize> = program.functions.iter().map(|function| function.start).collect();
    starts.insert(0);
    for (slot, insn) in flows.iter().enumerate() {
        let target = match insn {
            Some(Insn::Jump { offset }) => Some(i64::from(*offset)),
            Some(Insn::JumpIf { offset, .. } | Insn::MayGoto { offset }) => Some(i64::from(*offset)),
            Some(Insn::Exit) => None,
            Some(insn) => match called(*insn) {
                Some(offset) => {
                    starts.extend(usize::try_from(slot as i64 + 1 + offset).ok());
                    continue;
                }
                None => continue,
            },
            None => continue,
        };
        starts.insert(slot + 1);
        starts.extend(target.and_then(|offset| usize::try_from(slot as i64 + 1 + offset).ok()));
    }
    starts.retain(|&start| start < slots);
    starts
}

/// A block's text: each source line once for its instructions that follow one another.
fn lines(object: &Object, program: &Program, slots: std::ops::Range<usize>, detail: Detail) -> Vec<String> {
    let known = slots.clone().any(|slot| program.line_at(slot).is_some_and(|line| !line.text.trim().is_empty()));
    if detail == Detail::Instructions || !known {
        return slots
            .filter(|&slot| slot == 0 || program.insns[slot].opcode != 0)
            .map(|slot| format!("{slot}: {}", instruction(object, program, slot)))
            .collect();
    }
    let mut lines: Vec<String> = Vec::new();
    for line in slots.filter_map(|slot| program.line_at(slot)) {
        let text = format!("{}: {}", line.line, line.text.trim());
        if lines.last() != Some(&text) {
            lines.push(text);
        }
    }
    lines
}

fn instruction(object: &Object, program: &Program, slot: usize) -> String {
    disassemble(program.insns[slot], program.insns.get(slot + 1).copied(), &Names(object))
}

/// The condition of a conditional jump, as the kernel prints it.
fn condition(object: &Object, program: &Program, slot: usize) -> String {
    let text = instruction(object, program, slot);
    let condition = text.split_once("if ").and_then(|(_, rest)| rest.split_once(" goto")).map(|(inside, _)| inside);
    condition.map_or(text.clone(), str::to_owned)
}

fn mark(blocks: &[Block], verification: &Verification) -> Option<Mark> {
    let insn = verification.place.as_ref()?.insn;
    let block = blocks.partition_point(|block| block.start <= insn).checked_sub(1)?;
    match &verification.verdict {
        Verdict::Accept => None,
        Verdict::Reject(rejection) => Some(Mark { block, reason: rejection.rule.to_string(), rejected: true }),
        Verdict::Unsupported(what) => {
            Some(Mark { block, reason: format!("not supported yet: {what}"), rejected: false })
        }
    }
}
