//! A control-flow graph in Mermaid, which code hosts draw inside Markdown.

use std::fmt::Write as _;

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
