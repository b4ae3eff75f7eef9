//! Control-flow graphs for a page: those of [`report::graph`](crate::report::graph), function by function, and where each block is drawn.

use super::layout::{self, Size};
use super::model::{Block, Edge, EdgeKind, Graph, Instruction};
use crate::object::{Object, Program};
use crate::report::graph::{self, Detail};

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

/// The graph of each function of a program; `None` for those with too many blocks.
pub fn of_functions(object: &Object, program: &Program, instructions: &[Instruction]) -> Vec<Option<Graph>> {
    let whole = graph::Graph::of_code(object, program, Detail::Source);
    (0..whole.functions.len()).map(|function| of_function(&whole, function, instructions)).collect()
}

fn of_function(whole: &graph::Graph, function: usize, instructions: &[Instruction]) -> Option<Graph> {
    let own: Vec<usize> = (0..whole.blocks.len()).filter(|&block| whole.blocks[block].function == function).collect();
    if own.is_empty() || own.len() > MAX_BLOCKS {
        return None;
    }
    let place = |block: usize| own.binary_search(&block).ok();
    let inside = |edge: &graph::Edge| Some((place(edge.from)?, place(edge.to)?, way(&edge.kind)?));
    let edges: Vec<_> = whole.edges.iter().filter_map(inside).collect();
    let labels: Vec<Vec<String>> = own.iter().map(|&block| label(&whole.blocks[block].lines)).collect();
    let size = |lines: &Vec<String>| Size { width: BLOCK_WIDTH, height: LINE_HEIGHT * (lines.len() as i32 + 1) + 12 };
    let sizes: Vec<Size> = labels.iter().map(size).collect();
    let pairs: Vec<(usize, usize)> = edges.iter().map(|&(from, to, ..)| (from, to)).collect();
    let drawn = layout::layered(&sizes, &pairs);
    let block = |block: usize, label: Vec<String>, size: Size, (x, y): (i32, i32)| {
        let block = &whole.blocks[block];
        let behind = instructions.partition_point(|instruction| instruction.slot < block.end);
        let last = behind.checked_sub(1).map_or(block.start, |index| instructions[index].slot);
        Block { first: block.start, last, label, x, y, width: size.width, height: size.height }
    };
    let places = sizes.iter().zip(drawn.corners);
    let drawn_blocks = own.iter().zip(labels).zip(places);
    let blocks = drawn_blocks.map(|((&number, label), (&size, corner))| block(number, label, size, corner)).collect();
    let edge = |((from, to, (kind, condition)), points)| Edge { from, to, kind, condition, points };
    let edges = edges.into_iter().zip(drawn.routes).map(edge).collect();
    Some(Graph { width: drawn.width, height: drawn.height, blocks, edges })
}

/// Which way an edge is, and the condition under which it is taken; `None` for calls.
fn way(kind: &graph::EdgeKind) -> Option<(EdgeKind, Option<String>)> {
    match kind {
        graph::EdgeKind::Always => Some((EdgeKind::Next, None)),
        graph::EdgeKind::If(condition) => Some((EdgeKind::Taken, Some(condition.clone()))),
        graph::EdgeKind::Else => Some((EdgeKind::NotTaken, None)),
        graph::EdgeKind::Calls => None,
    }
}

fn label(lines: &[String]) -> Vec<String> {
    let mut label: Vec<String> = lines.iter().take(MAX_LINES).map(|line| shortened(line)).collect();
    if lines.len() > MAX_LINES {
        label.truncate(MAX_LINES - 1);
        label.push("…".to_owned());
    }
    label
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_LABEL {
        return text.to_owned();
    }
    text.chars().take(MAX_LABEL - 1).chain(['…']).collect()
}
