//! Graphs in DOT, Graphviz's language. Of a control-flow graph a box is a function and a node a block; of the states that were explored
//! a node is a straight run of instructions.

use std::fmt::Write as _;

use super::states::{Ending, StateGraph};
use super::{EdgeKind, Graph};

/// The graph as a DOT document.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let mut text = begun(&graph.name);
    // Writing to a String cannot fail.
    for (number, name) in graph.functions.iter().enumerate() {
        let _ = writeln!(text, "  subgraph cluster_{number} {{\n    label={};", quoted(name));
        for (at, block) in graph.blocks.iter().enumerate().filter(|(_, block)| block.function == number) {
            let mut label: String = block.lines.iter().map(|line| escaped(line) + "\\l").collect();
            let mut style = String::new();
            if let Some(mark) = graph.mark.as_ref().filter(|mark| mark.block == at) {
                let (word, colour) = if mark.rejected { ("rejected", "red") } else { ("not judged", "orange") };
                let _ = write!(label, "{word}: {}\\l", escaped(&mark.reason));
                let _ = write!(style, ", color={colour}, penwidth=2");
            }
            if block.is_entry {
                style.push_str(", style=bold");
            }
            let _ = writeln!(text, "    b{at} [label=\"{label}\"{style}];");
        }
        text.push_str("  }\n");
    }
    for edge in &graph.edges {
        let mut attributes = match &edge.kind {
            EdgeKind::Always => Vec::new(),
            EdgeKind::If(condition) => vec![format!("label={}", quoted(condition))],
            EdgeKind::Else => vec!["label=\"else\"".to_owned()],
            EdgeKind::Calls => vec!["label=\"calls\"".to_owned(), "style=dashed".to_owned()],
        };
        if edge.back {
            attributes.push("color=blue".to_owned());
        }
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        let _ = writeln!(text, "  b{} -> b{}{attributes};", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

/// The graph of explored states as a DOT document.
#[must_use]
pub fn states_dot(graph: &StateGraph) -> String {
    let mut text = begun(&graph.name);
    for (number, node) in graph.nodes.iter().enumerate() {
        let mut label: String = node.lines.iter().map(|line| escaped(line) + "\\l").collect();
        let mut style = if node.is_entry { ", style=bold".to_owned() } else { String::new() };
        let (ending, colour) = match &node.ending {
            Some(Ending::Rejected(reason)) => (format!("rejected: {reason}"), "red"),
            Some(Ending::Unsupported(what)) => (format!("not supported yet: {what}"), "orange"),
            Some(Ending::Cut) => ("more was followed".to_owned(), "gray"),
            None => (String::new(), ""),
        };
        if !ending.is_empty() {
            let _ = write!(label, "{}\\l", escaped(&ending));
            let _ = write!(style, ", color={colour}, penwidth=2");
        }
        let _ = writeln!(text, "  s{number} [label=\"{label}\"{style}];");
    }
    for edge in &graph.edges {
        let attributes = match (&edge.label, edge.covered) {
            (_, true) => " [label=\"covered by\", style=dashed, color=blue, constraint=false]".to_owned(),
            (Some(label), false) => format!(" [label={}]", quoted(label)),
            (None, false) => String::new(),
        };
        let _ = writeln!(text, "  s{} -> s{}{attributes};", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

/// A document up to its first node.
fn begun(name: &str) -> String {
    let mut text = format!("digraph {} {{\n", quoted(name));
    text.push_str("  node [shape=box, fontname=\"monospace\", fontsize=10];\n");
    text.push_str("  edge [fontname=\"monospace\", fontsize=9];\n");
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
