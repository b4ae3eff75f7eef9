//! Graphs in Mermaid, which code hosts draw inside Markdown.

use std::fmt::Write as _;

use super::states::{Ending, StateGraph};
use super::{EdgeKind, Graph};

/// The graph as a Mermaid flowchart.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart TD\n");
    // Writing to a String cannot fail.
    for (number, name) in graph.functions.iter().enumerate() {
        let _ = writeln!(text, "  subgraph f{number} [\"{}\"]", escaped(name));
        for (at, block) in graph.blocks.iter().enumerate().filter(|(_, block)| block.function == number) {
            let mut lines: Vec<String> = block.lines.iter().map(|line| escaped(line)).collect();
            if let Some(mark) = graph.mark.as_ref().filter(|mark| mark.block == at) {
                let word = if mark.rejected { "rejected" } else { "not judged" };
                lines.push(format!("<b>{word}: {}</b>", escaped(&mark.reason)));
            }
            let label = lines.join("<br/>");
            let _ = match block.is_entry {
                true => writeln!(text, "    b{at}([\"{label}\"])"),
                false => writeln!(text, "    b{at}[\"{label}\"]"),
            };
        }
        text.push_str("  end\n");
    }
    for edge in &graph.edges {
        let arrow = match &edge.kind {
            EdgeKind::Always => "-->".to_owned(),
            EdgeKind::If(condition) => format!("-- \"{}\" -->", escaped(condition)),
            EdgeKind::Else => "-- else -->".to_owned(),
            EdgeKind::Calls => "-. calls .->".to_owned(),
        };
        let _ = writeln!(text, "  b{} {arrow} b{}", edge.from, edge.to);
    }
    if let Some(mark) = &graph.mark {
        let colour = if mark.rejected { "#d33" } else { "#d80" };
        let _ = writeln!(text, "  style b{} stroke:{colour},stroke-width:3px", mark.block);
    }
    text
}

/// The graph of explored states as a Mermaid flowchart.
#[must_use]
pub fn states_mermaid(graph: &StateGraph) -> String {
    let mut text = String::from("flowchart TD\n");
    for (number, node) in graph.nodes.iter().enumerate() {
        let mut lines: Vec<String> = node.lines.iter().map(|line| escaped(line)).collect();
        let ending = match &node.ending {
            Some(Ending::Rejected(reason)) => Some((format!("rejected: {}", escaped(reason)), "#d33")),
            Some(Ending::Unsupported(what)) => Some((format!("not supported yet: {}", escaped(what)), "#d80")),
            Some(Ending::Cut) => Some(("more was followed".to_owned(), "#888")),
            None => None,
        };
        lines.extend(ending.iter().map(|(words, _)| format!("<b>{words}</b>")));
        let label = lines.join("<br/>");
        let _ = match node.is_entry {
            true => writeln!(text, "  s{number}([\"{label}\"])"),
            false => writeln!(text, "  s{number}[\"{label}\"]"),
        };
        if let Some((_, colour)) = ending {
            let _ = writeln!(text, "  style s{number} stroke:{colour},stroke-width:3px");
        }
    }
    for edge in &graph.edges {
        let arrow = match (&edge.label, edge.covered) {
            (_, true) => "-. covered by .->".to_owned(),
            (Some(label), false) => format!("-- \"{}\" -->", escaped(label)),
            (None, false) => "-->".to_owned(),
        };
        let _ = writeln!(text, "  s{} {arrow} s{}", edge.from, edge.to);
    }
    text
}

/// Text between quotes: Mermaid reads entities there, and takes quotes, brackets and backticks for its own.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '#' => escaped.push_str("&num;"),
            '`' => escaped.push_str("&#96;"),
            other => escaped.push(other),
        }
    }
    escaped
}
