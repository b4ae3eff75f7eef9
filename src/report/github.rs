//! Diagnostics as annotation commands of GitHub's workflows, which a step prints and GitHub shows at the source line.

use std::path::Path;

use super::diagnostic::{Diagnostic, Severity};
use super::source_tree::SourceTree;

/// A diagnostic as a line of its own.
#[must_use]
pub fn command(diagnostic: &Diagnostic, tree: &SourceTree) -> String {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut properties = Vec::new();
    match &diagnostic.spot {
        Some(spot) => {
            let file = tree.relative(Path::new(&spot.file)).unwrap_or_else(|| spot.file.clone());
            properties.push(("file", file));
            properties.push(("line", spot.line.to_string()));
            if spot.column > 0 {
                properties.push(("col", spot.column.to_string()));
            }
        }
        None => {
            let file = tree.relative(Path::new(&diagnostic.object)).unwrap_or_else(|| diagnostic.object.clone());
            properties.push(("file", file));
        }
    }
    properties.push(("title", format!("kptrsim: {}", diagnostic.rule)));
    let properties: Vec<String> =
        properties.into_iter().map(|(name, value)| format!("{name}={}", property(&value))).collect();
    let mut lines = vec![diagnostic.title.clone()];
    lines.extend(diagnostic.details.iter().cloned());
    format!("::{level} {}::{}\n", properties.join(","), data(&lines.join("\n")))
}

/// A message as a workflow command carries it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value as a workflow command carries it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::diagnostic::Spot;

    #[test]
    fn what_would_end_a_property_or_the_line_is_escaped() {
        let diagnostic = Diagnostic {
            rule: "leak".to_owned(),
            severity: Severity::Error,
            title: "100% of it\r\n::error::not a command".to_owned(),
            details: vec!["a: b, c".to_owned()],
            object: "a.o".to_owned(),
            program: "p".to_owned(),
            spot: Some(Spot { file: "/elsewhere/a,b:c.c".to_owned(), line: 3, column: 0, text: String::new() }),
            related: Vec::new(),
            steps: Vec::new(),
        };
        assert_eq!(
            command(&diagnostic, &SourceTree::at(Path::new("/"))),
            "::error file=elsewhere/a%2Cb%3Ac.c,line=3,title=kptrsim%3A leak::\
             100%25 of it%0D%0A::error::not a command%0Aa: b, c\n"
        );
    }
}
