//! Diagnostics as SARIF 2.1.0 (OASIS), the format of code scanning.
//!
//! [`log`] makes the one document that a run of the tool prints. Each rule that is broken is described once, with help;
//! a result has its source line relative to the repository's root, other places, and a fingerprint that stays when lines
//! move.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::diagnostic::{Diagnostic, Related, Severity, Spot, UNSUPPORTED};
use super::rule_help::rule_help;
use super::source_tree::SourceTree;

/// What the format calls the folder that paths are relative to; code hosts take it for the repository's root.
const ROOT: &str = "%SRCROOT%";

/// Digits of a fingerprint: 128 bits.
const FINGERPRINT: usize = 32;

/// The document: what was found, and what could not be looked at.
#[must_use]
pub fn log(diagnostics: &[Diagnostic], failures: &[String], tree: &SourceTree) -> Value {
    let mut rules: Vec<&str> = diagnostics.iter().map(|one| one.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let mut seen = BTreeMap::new();
    let results: Vec<Value> = diagnostics.iter().map(|one| result(one, &rules, &mut seen, tree)).collect();
    let notifications: Vec<Value> =
        failures.iter().map(|failure| json!({"level": "error", "message": {"text": failure}})).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kptrsim",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the repository."}}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": failures.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

/// What a rule is about.
fn descriptor(rule: &str) -> Value {
    let help = rule_help(rule);
    json!({
        "id": rule,
        "name": pascal_case(rule),
        "shortDescription": {"text": help.short},
        "fullDescription": {"text": help.full},
        "help": {"text": help.text, "markdown": help.markdown},
        "defaultConfiguration": {"level": if rule == UNSUPPORTED { "warning" } else { "error" }},
        "properties": {"tags": ["bpf", help.tag]},
    })
}

fn result(diagnostic: &Diagnostic, rules: &[&str], seen: &mut BTreeMap<String, usize>, tree: &SourceTree) -> Value {
    let location = match &diagnostic.spot {
        Some(spot) => physical(spot, tree),
        None => json!({"artifactLocation": artifact(&diagnostic.object, tree)}),
    };
    let mut main = json!({"physicalLocation": location});
    if !diagnostic.program.is_empty() {
        main["logicalLocations"] = json!([{"name": diagnostic.program, "kind": "function"}]);
    }
    let mut lines = vec![diagnostic.title.as_str()];
    lines.extend(diagnostic.details.iter().map(String::as_str));
    let related: Vec<Value> = diagnostic
        .related
        .iter()
        .enumerate()
        .map(|(number, one)| {
            let mut location = located(one, tree);
            location["id"] = json!(number);
            location
        })
        .collect();
    let mut value = json!({
        "ruleId": diagnostic.rule,
        "ruleIndex": rules.iter().position(|rule| *rule == diagnostic.rule),
        "level": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": {"text": lines.join("\n")},
        "locations": [main],
        "partialFingerprints": {"kptrsim/v1": fingerprint(diagnostic, seen, tree)},
    });
    if !related.is_empty() {
        value["relatedLocations"] = json!(related);
    }
    if !diagnostic.steps.is_empty() {
        let locations: Vec<Value> =
            diagnostic.steps.iter().map(|step| json!({"location": located(step, tree)})).collect();
        value["codeFlows"] = json!([{"threadFlows": [{"locations": locations}]}]);
    }
    value
}

fn located(related: &Related, tree: &SourceTree) -> Value {
    json!({"physicalLocation": physical(&related.spot, tree), "message": {"text": related.message}})
}

fn physical(spot: &Spot, tree: &SourceTree) -> Value {
    let mut location = json!({"artifactLocation": artifact(&spot.file, tree)});
    if spot.line > 0 {
        location["region"] = json!({"startLine": spot.line, "snippet": {"text": spot.text}});
        if spot.column > 0 {
            location["region"]["startColumn"] = json!(spot.column);
        }
    }
    location
}

/// A file of the repository relative to its root, any other by its whole path.
fn artifact(file: &str, tree: &SourceTree) -> Value {
    match tree.relative(Path::new(file)) {
        Some(inside) => json!({"uri": percent_encoded(&inside), "uriBaseId": ROOT}),
        None if file.starts_with('/') => json!({"uri": format!("file://{}", percent_encoded(file))}),
        None => json!({"uri": percent_encoded(file)}),
    }
}

/// A path as a URI has it (RFC 3986): all but unreserved characters and `/` by their bytes.
fn percent_encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for &byte in path.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

/// What makes a result this one, wherever its line moves to: rule, program, file and the line's text; those that are alike are
/// numbered.
fn fingerprint(diagnostic: &Diagnostic, seen: &mut BTreeMap<String, usize>, tree: &SourceTree) -> String {
    let (file, text) = match &diagnostic.spot {
        Some(spot) => (spot.file.as_str(), spot.text.as_str()),
        None => (diagnostic.object.as_str(), ""),
    };
    let file = tree.relative(Path::new(file)).unwrap_or_else(|| file.to_owned());
    let parts = [diagnostic.rule.as_str(), diagnostic.program.as_str(), file.as_str(), text].join("\0");
    let number = seen.entry(parts.clone()).or_default();
    *number += 1;
    let digest = Sha256::digest(format!("{parts}\0{number}"));
    let mut hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(FINGERPRINT);
    hex
}

/// `data-race` as `DataRace`.
fn pascal_case(rule: &str) -> String {
    let words = rule.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    });
    words.collect()
}
