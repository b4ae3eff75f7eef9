//! The page's file: template, style, script and data in one.

use askama::Template;
use sha2::{Digest, Sha256};

use super::model::{Page, Status};

/// Style, in the order in which it is read.
const STYLE: [&str; 4] = [
    include_str!("style/colours.css"),
    include_str!("style/layout.css"),
    include_str!("style/panes.css"),
    include_str!("style/drawings.css"),
];

/// Script, in the order in which it is run.
const SCRIPT: [&str; 11] = [
    include_str!("script/dom.js"),
    include_str!("script/data.js"),
    include_str!("script/state.js"),
    include_str!("script/verdict.js"),
    include_str!("script/code.js"),
    include_str!("script/path.js"),
    include_str!("script/values.js"),
    include_str!("script/timeline.js"),
    include_str!("script/graph.js"),
    include_str!("script/theme.js"),
    include_str!("script/main.js"),
];

#[derive(Template)]
#[template(path = "page.html")]
struct Document<'a> {
    page: &'a Page,
    rows: Vec<Row<'a>>,
    style: String,
    script: String,
    data: String,
    nonce: String,
}

/// A line of the table that is shown where scripts do not run.
struct Row<'a> {
    title: &'a str,
    status: &'static str,
    verdict: &'a str,
}

/// A status in a word.
#[must_use]
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Accepted => "accepted",
        Status::Rejected => "rejected",
        Status::Unsupported => "unsupported",
        Status::Fine => "fine",
        Status::Found => "found",
        Status::Undecided => "undecided",
    }
}

/// The page as an HTML document that needs nothing else. The same page gives the same bytes.
///
/// # Panics
/// Never: the data has only text keys, and writing to a string does not fail.
#[must_use]
pub fn html(page: &Page) -> String {
    let data = in_script(&serde_json::to_string(page).unwrap_or_default());
    // Only what was written with the page runs in it: nobody can put the digest of the data into the data.
    let nonce = Sha256::digest(data.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let rows = page.views.iter().map(|view| Row {
        title: &view.title,
        status: status_word(view.status),
        verdict: &view.verdict,
    });
    let script = format!("\"use strict\";\n(() => {{\n{}\n}})();", SCRIPT.concat());
    let document = Document { page, rows: rows.collect(), style: STYLE.concat(), script, data, nonce };
    document.render().unwrap_or_default()
}

/// JSON as it can stand in a `script` element: nothing in it is a tag or ends a line.
fn in_script(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_its_element() {
        let json = serde_json::to_string("</script><!-- &amp; \u{2028}").expect("a string");
        let safe = in_script(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).expect("still JSON"), "</script><!-- &amp; \u{2028}");
    }
}
